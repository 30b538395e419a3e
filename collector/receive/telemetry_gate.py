"""Keys and certificate of the telemetry listener, and what it tells of both.

The supervisor serves ``/metrics`` and therefore holds a keyring of its own, on one connection: to
ask a worker would tie the metrics to that worker's health, which is what they are there to show.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from collector.receive.auth import CHALLENGE, TO_READ, find_token
from collector.receive.certificates import Certificates
from collector.receive.keyring import Keyring
from collector.receive.status import RETRY_AFTER_S, is_expected, to_verdict
from collector.receive.tls_listener import TlsListener
from collector.settings import Settings
from collector.store.api_keys import read_live_keys
from collector.store.pool import Database
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe
from collector.telemetry.serving import Accept

WARN_S: Final = 14 * 86_400
"""A certificate that ends within this time is worth a warning; renewal comes a month ahead."""
WARN_EVERY_S: Final = 6 * 3_600


class TelemetryGate:
    """Lets readers of ``/metrics`` in, and watches the certificate for all of the daemon."""

    def __init__(self, settings: Settings, *, clock: Clock, metrics: Metrics) -> None:
        """Nothing is read yet."""
        self._clock = clock
        self._metrics = metrics
        self._certificates = Certificates(settings.tls, clock=clock) if settings.tls.on else None
        self._tls = settings.tls
        self._database: Database | None = None
        self._keyring: Keyring | None = None
        if settings.auth.keys:
            one = settings.database.model_copy(update={"connections_min": 1, "connections_max": 1})
            self._database = Database(one)
            read = partial(read_live_keys, self._database)
            self._keyring = Keyring(settings.auth, read, clock=clock, probe=Probe())
        self._log = structlog.stdlib.get_logger("otlpg.receive")

    async def start(self) -> None:
        """Read the certificate.

        Raises:
            SettingsError: its files cannot be used, or do not answer.
        """
        if self._certificates is not None:
            await self._certificates.start()

    @property
    def accept(self) -> Accept | None:
        """How to take connections: with TLS, or None."""
        certificates = self._certificates
        if certificates is None or not self._tls.telemetry:
            return None
        return TlsListener(
            lambda: certificates.current().plain_context,
            handshake_s_max=self._tls.handshake_s_max,
            clock=self._clock,
        ).run

    async def run(self) -> None:
        """Read the keys and look at the certificate until cancelled; ``start`` came first."""
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._keyring is not None:
                    tasks.create_task(self._keyring.run())
                if self._certificates is not None:
                    tasks.create_task(self._certificates.run())
                    tasks.create_task(self._watch(self._certificates))
        finally:
            if self._database is not None:
                await self._database.stop()

    def sample(self) -> None:
        """Bring the gauges up to date, before a snapshot is taken."""
        if self._certificates is not None:
            expires_unix_s = self._certificates.current().expires_unix_s
            self._metrics.certificate_expiry.set(expires_unix_s)
        if self._keyring is not None:
            self._metrics.api_keys.set(self._keyring.count)

    async def refuse(self, request: Request) -> Response | None:
        """Answer a request that may not read the metrics; None: it may."""
        if self._keyring is None:
            return None
        try:
            await self._keyring.check(find_token(request.headers.items()), TO_READ)
        except Exception as error:  # noqa: BLE001 -- the edge, judged as senders are
            if not is_expected(error):
                self._log.error("metrics not shown by our own fault", exc_info=error)
            verdict = to_verdict(error)
        else:
            return None
        headers = {"retry-after": str(RETRY_AFTER_S)} if verdict.retryable else {}
        if verdict.http_status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = CHALLENGE
        return Response(verdict.text, verdict.http_status, headers)

    async def _watch(self, certificates: Certificates) -> None:
        """Warn of a certificate that ends soon, or has ended."""
        while True:
            left_s = certificates.current().expires_unix_s - self._clock.unix_ns() / 1e9
            if left_s < WARN_S:
                self._log.warning(
                    "the certificate has expired" if left_s < 0 else "the certificate expires soon",
                    days_left=round(left_s / 86_400, 1),
                    setting="tls.certificate_file",
                )
            await asyncio.sleep(WARN_EVERY_S)
