"""The ports of a daemon: taken before its processes start, and handed to them.

Whoever cannot have one hears so at once, and port 0 becomes a real one that all processes share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final

from collector.receive.listeners import ReservedPort, authority
from collector.settings import Settings

API: Final = "api"
JAEGER: Final = "jaeger"
"""Of the API, for Jaeger's own gRPC."""


def reserve(settings: Settings, held: contextlib.ExitStack) -> dict[str, ReservedPort]:
    """Return the ports of the listeners by name, ours until ``held`` is closed.

    Raises:
        SettingsError: one is taken, or its address is not ours.
    """
    receive, telemetry, api = settings.receive, settings.telemetry, settings.api

    def hold(host: str, port: int, setting: str, *, shared: bool) -> ReservedPort:
        reserved = ReservedPort(host, port, setting=setting, shared=shared)
        held.callback(reserved.release)
        return reserved

    ports = {
        "grpc": hold(receive.grpc_host, receive.grpc_port, "receive.grpc_port", shared=True),
        "http": hold(receive.http_host, receive.http_port, "receive.http_port", shared=True),
        "telemetry": hold(telemetry.host, telemetry.port, "telemetry.port", shared=False),
    }
    if api.enabled:
        ports[API] = hold(api.host, api.port, "api.port", shared=True)
        if api.jaeger_grpc:
            ports[JAEGER] = hold(
                api.host, api.jaeger_grpc_port, "api.jaeger_grpc_port", shared=True
            )
    return ports


def addresses(settings: Settings, ports: Mapping[str, int]) -> dict[str, str]:
    """Return ``host:port`` of each listener, with the ports that it really has."""
    hosts = {
        "grpc": settings.receive.grpc_host,
        "http": settings.receive.http_host,
        "telemetry": settings.telemetry.host,
        API: settings.api.host,
        JAEGER: settings.api.host,
    }
    return {name: authority(hosts[name], port) for name, port in ports.items()}


def probe(settings: Settings) -> None:
    """Return when ``serve`` could listen now, for a caller with long work to do before it.

    Raises:
        SettingsError: a port is taken, or its address is not ours.
    """
    with contextlib.ExitStack() as held:
        reserve(settings, held)


def with_ports(settings: Settings, ports: Mapping[str, int]) -> Settings:
    """Return ``settings`` with the ports that were reserved in the place of 0."""
    receive = settings.receive.model_copy(
        update={"grpc_port": ports["grpc"], "http_port": ports["http"]}
    )
    api = settings.api.model_copy(
        update={
            "port": ports.get(API, settings.api.port),
            "jaeger_grpc_port": ports.get(JAEGER, settings.api.jaeger_grpc_port),
        }
    )
    return settings.model_copy(update={"receive": receive, "api": api})
