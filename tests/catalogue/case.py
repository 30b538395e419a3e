"""One bad input, how it is sent, and what must become of it.

``entry`` has the usual ways to write one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import grpc

from collector.restore.otlp_json import document_of
from collector.rows import Reason, Signal
from tests.catalogue.neighbours import Halves, neighbours
from tests.factories import ExportRequest

OUTER = {
    Signal.TRACES: "resourceSpans",
    Signal.METRICS: "resourceMetrics",
    Signal.LOGS: "resourceLogs",
}
"""The one field of each request, as JSON has it."""


class Transport(StrEnum):
    """How a request travels."""

    GRPC = "grpc"
    HTTP = "http"
    JSON = "json"


PROTOBUF = (Transport.GRPC, Transport.HTTP)
MANY = "10 000 items are a company of their own"
"""Why such a case is sent alone."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The sender hears OK.

    Attributes:
        stored: what comes back from the tables.
        letters: the originals that lie in ``dead_letters``, as requests one behind the other.
        outcome: of those letters.
        reasons: of those letters, all of them.
        readable: makes bytes of ``letters`` valid protobuf, in the same way for what was sent and
            for what was kept.
    """

    stored: ExportRequest
    letters: bytes = b""
    outcome: str = ""
    reasons: frozenset[Reason] = frozenset()
    readable: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """The sender must not come again; ``is_kept``: the whole body lies in ``dead_letters``."""

    code: grpc.StatusCode
    says: str = ""
    is_kept: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """A bad input. ``number`` is that of the catalogue; see ``coverage``.

    Attributes:
        wire: the request in protobuf; None: only JSON can say it.
        entries: the resources of the request in JSON, without the array around them, or the request
            that they are to be made of when it is sent; None: JSON cannot say it.
        document: makes the whole body of ``entries``.
        pack: makes what travels of the whole body.
        headers: of HTTP, over the usual ones.
        transports: where it is sent; empty: wherever it can be said.
        alone: why it has no company; empty: it has.
    """

    number: int
    name: str
    signal: Signal
    end: Accepted | Rejected
    wire: bytes | None = None
    entries: str | ExportRequest | None = None
    document: Callable[[str], bytes] | None = None
    pack: Callable[[bytes], bytes] = bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    transports: tuple[Transport, ...] = ()
    alone: str = ""

    def ways(self) -> tuple[Transport, ...]:
        """Return the transports that can say it."""
        said = (*PROTOBUF,) * (self.wire is not None)
        said += (Transport.JSON,) * (self.entries is not None)
        return tuple(way for way in said if not self.transports or way in self.transports)

    def body(self, way: Transport, *, company: bool) -> bytes:
        """Return what travels: the case alone, or in the middle of 9 999 good items."""
        halves = neighbours(self.signal) if company else Halves()
        if way is Transport.JSON:
            assert self.entries is not None
            own = self.entries if isinstance(self.entries, str) else entries_of(self.entries)
            entries = ",".join(filter(None, (halves.entries[0], own, halves.entries[1])))
            usual = f'{{"{OUTER[self.signal]}":[{entries}]}}'.encode()
            return self.pack(self.document(entries) if self.document else usual)
        assert self.wire is not None
        return self.pack(halves.wire[0] + self.wire + halves.wire[1])


class Run(NamedTuple):
    """A case on its way."""

    case: Case
    way: Transport
    company: bool

    @property
    def is_long(self) -> bool:
        """Whether `make fault` runs it and `make test` does not.

        Each case is sent alone by every transport, and in company by the first that can say it: the
        three are one from the moment at which a body has become a request, and company does not
        meet a case before.
        """
        return self.company and self.way is not self.case.ways()[0]

    def __str__(self) -> str:
        company = "in company" if self.company else "alone"
        return f"{self.case.number} {self.case.name}, {self.case.signal} by {self.way}, {company}"


def runs(cases: Iterable[Case]) -> list[Run]:
    """Return every case by every transport that can say it, alone and in company."""
    return [
        Run(case, way, company)
        for case in cases
        for way in case.ways()
        for company in (False, True)
        if not (company and case.alone)
    ]


def entries_of(request: ExportRequest) -> str:
    """Return the resources of a request in JSON, without the array around them."""
    document = document_of(request)
    return ",".join(json.dumps(entry) for entries in document.values() for entry in entries)
