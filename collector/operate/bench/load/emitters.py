"""The resources and scopes of the loads: forty instances of ten services, as a cluster has them."""

from __future__ import annotations

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.operate.attributes import key_values

INSTANCES = 40
SERVICES = (
    "checkout", "cart", "catalog", "currency", "email",
    "frontend", "payment", "quote", "recommendation", "shipping",
)  # fmt: skip


def resource(instance: int) -> Resource:
    """Return the resource of one of ``INSTANCES`` processes."""
    service = SERVICES[instance % len(SERVICES)]
    return Resource(
        attributes=key_values(
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
