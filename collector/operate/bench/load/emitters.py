"""The resources and scopes of the loads: forty instances of ten services, as a cluster has them."""

from __future__ import annotations

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

INSTANCES = 40
SERVICES = (
    "checkout", "cart", "catalog", "currency", "email",
    "frontend", "payment", "quote", "recommendation", "shipping",
)  # fmt: skip

Value = str | int | float | bool


def attributes(values: dict[str, Value]) -> list[KeyValue]:
    """Return ``values`` as OTLP attributes in the same order."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def any_value(value: Value) -> AnyValue:
    """Return one attribute value of its own OTLP kind."""
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)


def resource(instance: int) -> Resource:
    """Return the resource of one of ``INSTANCES`` processes."""
    service = SERVICES[instance % len(SERVICES)]
    return Resource(
        attributes=attributes(
            {
                "service.name": service,
                "service.namespace": "shop",
                "service.instance.id": f"{service}-{instance:04d}",
                "service.version": "2.14.1",
                "k8s.cluster.name": "production-eu",
                "k8s.node.name": f"node-{instance % 7:02d}",
                "k8s.pod.name": f"{service}-6f7c9d8b5-{instance:05x}",
                "telemetry.sdk.language": "java",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": "1.52.0",
            }
        )
    )


def scope(name: str) -> InstrumentationScope:
    """Return the scope of one instrumentation library."""
    return InstrumentationScope(name=name, version="2.18.0")
