"""Connections of the load: many, and shared out evenly among the daemon's workers.

The kernel assigns a connection to a worker by a hash of its address (SO_REUSEPORT), so eight
connections land six to two often enough to spoil a measurement. Where the workers' process ids are
known, a connection to a worker that has its share already is closed and another one is opened.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from collector.operate.access import Access
from collector.operate.bench.guard import HOST
from collector.operate.bench.http2 import Connection, Reply, call_headers
from collector.operate.bench.processes import serving_pid
from collector.operate.endpoint import EXPORT_METHODS
from collector.rows import Signal

READY_S_MAX = 10.0
ATTEMPTS_PER_CONNECTION = 16


class Line:
    """One connection to the daemon, opened anew when it has ended.

    ``access`` None: in clear and anonymous, otherwise over TLS.
    """

    def __init__(self, endpoint: str, access: Access | None = None) -> None:
        self._endpoint = endpoint
        self._access = access
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> Connection:
        """Return the connection, a new one if there is none that takes calls.

        Raises:
            OSError: nobody accepts it.
        """
        async with self._opening:
            if self._connection is None or self._connection.ended:
                host, port = self._endpoint.rsplit(":", 1)
                async with asyncio.timeout(READY_S_MAX):
                    tls = self._access.context() if self._access is not None else None
                    self._connection = await Connection.open(host, int(port), tls=tls, name=HOST)
            return self._connection

    async def export(self, headers: bytes, request: bytes) -> Reply:
        """Send one request.

        Raises:
            OSError: there is no connection, or it broke before the answer.
        """
        connection = self._connection
        if connection is None or connection.ended:
            connection = await self.open()
        return await connection.call(headers, request)

    def headers(self, signal: Signal, timeout_s: float) -> bytes:
        """Return what begins every export of ``signal``."""
        access = self._access
        return call_headers(
            self._endpoint,
            EXPORT_METHODS[signal],
            timeout_s,
            secure=access is not None,
            more=access.headers if access is not None else (),
        )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


async def open_lines(
    endpoint: str, lines: int, worker_pids: list[int], access: Access | None = None
) -> list[Line]:
    """Return ``lines`` open lines; each worker serves the same number, give or take one.

    Raises:
        OSError: the endpoint did not accept a connection in time.
        RuntimeError: a worker did not get its share in many attempts.
    """
    share = -(-lines // max(1, len(worker_pids)))
    taken: Counter[int | None] = Counter()
    kept: list[Line] = []
    for _ in range(lines * ATTEMPTS_PER_CONNECTION):
        if len(kept) == lines:
            return kept
        line = Line(endpoint, access)
        connection = await line.open()
        worker = serving_pid(connection.local_port, worker_pids)
        if worker_pids and taken[worker] == share:
            line.close()
        else:
            taken[worker] += 1
            kept.append(line)
    raise RuntimeError(f"connections land unevenly: {dict(taken)}")
