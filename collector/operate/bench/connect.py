"""Connections of the load: many, and shared out evenly among the daemon's workers.

The kernel assigns a connection to a worker by a hash of its address (SO_REUSEPORT), so eight
connections land six to two often enough to spoil a measurement. Where the workers' process ids are
known, a connection to a worker that has its share already is closed and another one is opened.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections import Counter
from enum import Enum, auto
from http import HTTPStatus
from typing import ClassVar, Generic, NamedTuple, TypeVar

from collector.operate.access import Access
from collector.operate.bench import http1, http2
from collector.operate.bench.guard import HOST
from collector.operate.bench.processes import serving_pids
from collector.operate.endpoint import EXPORT_METHODS
from collector.operate.verify.http_door import CONTENT_TYPES, RETRYABLE_STATUSES
from collector.operate.verify.options import Protocol
from collector.rows import Signal

READY_S_MAX = 10.0
ROUNDS_MAX = 64
"""Of opening what is missing; with four workers the last one misses in three of four rounds."""

RETRYABLE_CODES = frozenset({http2.UNAVAILABLE, http2.DEADLINE_EXCEEDED})
EMPTY_REQUESTS = {Protocol.HTTP_PROTOBUF: b"", Protocol.HTTP_JSON: b"{}"}
"""Exports of nothing, and what a complete success is answered."""


class Outcome(Enum):
    """What one request came to."""

    OK = auto()
    REFUSED = auto()
    """To be sent again."""
    FAILED = auto()
    """Undeserved here: refused for good, or in part."""


class Head(NamedTuple):
    """What begins every export of a run, and the time for each."""

    wire: bytes
    timeout_s: float


LinkT = TypeVar("LinkT", http1.Connection, http2.Connection)


class Line(ABC, Generic[LinkT]):
    """One connection to the daemon, opened anew when it has ended.

    ``access`` None: in clear and anonymous, otherwise over TLS.
    """

    takes_many: ClassVar[bool]
    """Whether ``export`` may be called while another call is open."""

    def __init__(self, endpoint: str, access: Access | None = None) -> None:
        self._endpoint = endpoint
        self._access = access
        self._link: LinkT | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> LinkT:
        """Return the connection, a new one if there is none that takes calls.

        A worker has accepted it.

        Raises:
            OSError: nobody accepts it.
        """
        async with self._opening:
            if self._link is None or self._link.ended:
                host, port = self._endpoint.rsplit(":", 1)
                async with asyncio.timeout(READY_S_MAX):
                    tls = self._access.context() if self._access is not None else None
                    self._link = await self._dial(host, int(port), tls)
            return self._link

    @abstractmethod
    async def export(self, head: Head, request: bytes) -> Outcome:
        """Send one request under what ``head`` returned.

        Raises:
            OSError: there is no connection, or it broke or fell silent before the answer.
        """

    @abstractmethod
    def head(self, signal: Signal, timeout_s: float) -> Head:
        """Return what begins every export of ``signal``."""

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()

    @abstractmethod
    async def _dial(self, host: str, port: int, tls: ssl.SSLContext | None) -> LinkT:
        """Return a new connection that a worker has accepted."""

    async def _usable(self) -> LinkT:
        link = self._link
        return await self.open() if link is None or link.ended else link

    @property
    def _headers(self) -> tuple[tuple[str, str], ...]:
        return self._access.headers if self._access is not None else ()


class GrpcLine(Line[http2.Connection]):
    """OTLP/gRPC."""

    takes_many = True

    async def export(self, head: Head, request: bytes) -> Outcome:
        """Send one request; its time limit stands in its headers, and the server keeps it."""
        link = await self._usable()
        reply = await link.call(head.wire, request)
        if reply.status in RETRYABLE_CODES:
            return Outcome.REFUSED
        # A message is a partial success.
        return Outcome.FAILED if reply.status or reply.has_message else Outcome.OK

    def head(self, signal: Signal, timeout_s: float) -> Head:
        """Return the header block."""
        wire = http2.call_headers(
            self._endpoint,
            EXPORT_METHODS[signal],
            timeout_s,
            secure=self._access is not None,
            more=self._headers,
        )
        return Head(wire, timeout_s)

    async def _dial(self, host: str, port: int, tls: ssl.SSLContext | None) -> http2.Connection:
        return await http2.Connection.open(host, port, tls=tls, name=HOST)


class HttpLine(Line[http1.Connection]):
    """OTLP/HTTP, in protobuf or JSON."""

    takes_many = False

    def __init__(self, endpoint: str, protocol: Protocol, access: Access | None = None) -> None:
        super().__init__(endpoint, access)
        self._content_type = CONTENT_TYPES[protocol]
        self._nothing = EMPTY_REQUESTS[protocol]

    async def export(self, head: Head, request: bytes) -> Outcome:
        """Send one request; HTTP knows no time limit, so it is kept here."""
        link = await self._usable()
        async with asyncio.timeout(head.timeout_s):
            reply = await link.call(head.wire, request)
        if reply.status in RETRYABLE_STATUSES:
            return Outcome.REFUSED
        # A body that says anything is a partial success.
        complete = reply.status == HTTPStatus.OK and reply.body == self._nothing
        return Outcome.OK if complete else Outcome.FAILED

    def head(self, signal: Signal, timeout_s: float) -> Head:
        """Return the head up to the number of bytes."""
        wire = http1.request_head(
            self._endpoint, f"/v1/{signal}", self._content_type, self._headers
        )
        return Head(wire, timeout_s)

    async def _dial(self, host: str, port: int, tls: ssl.SSLContext | None) -> http1.Connection:
        """Return a connection on which an export of nothing was answered: HTTP servers do not greet.

        Raises:
            OSError: nobody listens, or the answer is not OK.
        """
        link = await http1.Connection.connect(host, port, tls, HOST)
        reply = await link.call(self.head(Signal.TRACES, READY_S_MAX).wire, self._nothing)
        if reply.status != HTTPStatus.OK:
            link.close()
            raise ConnectionError(f"an export of nothing is answered with {reply.status}")
        return link


AnyLine = GrpcLine | HttpLine


def new_line(endpoint: str, protocol: Protocol, access: Access | None = None) -> AnyLine:
    """Return a line that speaks ``protocol``; it is not open yet."""
    if protocol is Protocol.GRPC:
        return GrpcLine(endpoint, access)
    return HttpLine(endpoint, protocol, access)


async def open_lines(
    endpoint: str,
    lines: int,
    worker_pids: list[int],
    access: Access | None = None,
    protocol: Protocol = Protocol.GRPC,
) -> list[AnyLine]:
    """Return ``lines`` open lines; each worker serves the same number, give or take one.

    Raises:
        OSError: the endpoint did not accept a connection in time.
        RuntimeError: a worker did not get its share in many attempts.
    """
    share = -(-lines // max(1, len(worker_pids)))
    taken: Counter[int | None] = Counter()
    kept: list[AnyLine] = []
    for _ in range(ROUNDS_MAX):
        fresh = [new_line(endpoint, protocol, access) for _ in range(lines - len(kept))]
        ports = [(await line.open()).local_port for line in fresh]
        workers = serving_pids(worker_pids)
        for line, port in zip(fresh, ports, strict=True):
            worker = workers.get(port)
            if worker_pids and taken[worker] == share:
                line.close()
            else:
                taken[worker] += 1
                kept.append(line)
        if len(kept) == lines:
            return kept
    raise RuntimeError(f"connections land unevenly: {dict(taken)}")


def places(lines: list[AnyLine], in_flight: int) -> list[AnyLine]:
    """Return the line of each of ``in_flight`` requests, in turns.

    Shape: fewer, one for each line, where a line takes one request at a time.
    """
    count = in_flight if lines[0].takes_many else min(in_flight, len(lines))
    return [lines[number % len(lines)] for number in range(count)]
