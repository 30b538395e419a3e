"""Jaeger's remote storage, where others ask for it: at a port of its own, and through our workers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from collector.api.counting import Answers
from collector.api.errors import Failures
from collector.api.jaeger.storage_calls import SERVICES, StorageCalls
from collector.api.jaeger.storage_service import REQUEST_BYTES_MAX, StorageService
from collector.api.jaeger.stored import StoredSpans
from collector.api.questions import Turns
from collector.receive.auth import Gate
from collector.receive.certificates import Certificates
from collector.receive.grpc_listener import Door, GrpcListener, to_options
from collector.receive.health_service import HealthService
from collector.receive.jaeger_passage import longest_reading_s
from collector.receive.keyring import Keyring
from collector.settings import Settings, TlsSettings
from collector.telemetry.clock import Clock


class StorageServer:
    """Two listeners with the same calls and the same limits.

    Workers come through a socket that only this user can open. They have looked at the certificate
    of whoever asks, which is not seen here; the key is passed on, and checked once more.
    """

    def __init__(
        self,
        settings: Settings,
        stored: StoredSpans,
        turns: Turns,
        failures: Failures,
        answers: Answers,
        keyring: Keyring | None,
        *,
        certificates: Certificates | None,
        path: Path | None,
        clock: Clock,
    ) -> None:
        """``certificates`` None: in clear. ``path`` None: workers have no way here."""
        calls = StorageCalls(stored).by_path()
        call_s_max = longest_reading_s(settings)
        options = to_options(
            settings.receive, message_bytes_max=REQUEST_BYTES_MAX, call_s_max=call_s_max
        )
        self._health = HealthService(SERVICES)

        def listener(door: Door, gate: Gate, certificates: Certificates | None) -> GrpcListener:
            service = StorageService(calls, gate, turns, failures, answers, settings.receive)
            return GrpcListener(
                door,
                (service, self._health),
                options,
                call_s_max=call_s_max,
                certificates=certificates,
                clock=clock,
                logger="otlpg.api",
            )

        api = settings.api
        door = Door(api.host, api.jaeger_grpc_port, "api.host", "api.jaeger_grpc_port")
        self._public = listener(door, Gate(settings.tls, keyring), certificates)
        self._listeners = [self._public]
        if path is not None:
            gate = Gate(TlsSettings(), keyring)
            self._listeners.append(listener(door._replace(path=path), gate, None))

    @property
    def port(self) -> int:
        """The port of the public listener; as in the settings before ``start``."""
        return self._public.port

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        for listener in self._listeners:
            await listener.start()

    async def run(self) -> None:
        """Keep both listening until ``drain``; ``start`` came first.

        Raises:
            SettingsError: the port has been taken meanwhile.
        """
        async with asyncio.TaskGroup() as running:
            for listener in self._listeners:
                running.create_task(listener.run())

    async def drain(self, grace_s: float) -> None:
        """Take no more calls, and cancel those that last longer. Safe twice and before ``start``."""
        self._health.drain()
        await asyncio.gather(*(listener.drain(grace_s) for listener in self._listeners))
