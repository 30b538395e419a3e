"""The usual ways to write an entry of the catalogue.

*Accepted* items come back as they were sent, *repaired* ones with U+FFFD and their original in
``dead_letters``, *quarantined* ones lie in ``dead_letters`` alone, and of a *rejected* request
nothing is left. What none of these says is a ``Case`` of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import grpc

from collector.rows import Reason, Signal
from tests.catalogue.case import Accepted, Case, Rejected, Transport, entries_of
from tests.factories import ExportRequest
from tests.strategies import REQUEST_TYPES


def signal_of(request: ExportRequest) -> Signal:
    """Return the signal of a request."""
    return next(signal for signal, kind in REQUEST_TYPES.items() if isinstance(request, kind))


def accepted(
    number: int,
    name: str,
    request: ExportRequest,
    *,
    alone: str = "",
    transports: tuple[Transport, ...] = (),
) -> Case:
    """Return a request that is odd and valid: every item comes back as it was sent."""
    return Case(
        number=number,
        name=name,
        signal=signal_of(request),
        end=Accepted(stored=request),
        wire=request.SerializeToString(),
        entries=request,
        alone=alone,
        transports=transports,
    )


def accepted_wire(number: int, name: str, signal: Signal, wire: bytes) -> Case:
    """Return bytes that no library writes and that every library reads, in the same way."""
    stored = REQUEST_TYPES[signal].FromString(wire)
    return Case(number=number, name=name, signal=signal, end=Accepted(stored=stored), wire=wire)


def accepted_json(number: int, name: str, entries: str, stored: ExportRequest) -> Case:
    """Return JSON that means ``stored``, though it is not what a library would write."""
    return Case(
        number=number,
        name=name,
        signal=signal_of(stored),
        end=Accepted(stored=stored),
        entries=entries,
    )


class Poison(NamedTuple):
    """A text that PostgreSQL does not take: its bytes, the text that it becomes, and its JSON.

    ``mark`` stands for it in messages that protobuf has to write: as long, and found nowhere else.
    """

    raw: bytes
    stored: str
    json: str | None
    reason: Reason

    @property
    def mark(self) -> str:
        """Text of the same number of bytes."""
        return "@poison".ljust(len(self.raw), "@")

    def into(self, message: bytes) -> bytes:
        """Return a message with the poison where its mark stands."""
        return message.replace(self.mark.encode(), self.raw)

    def out_of(self, message: bytes) -> bytes:
        """Return a message that protobuf can read."""
        return message.replace(self.raw, self.mark.encode())


def repaired(
    number: int,
    name: str,
    of_text: Callable[[str], ExportRequest],
    poison: Poison,
    *,
    stored: ExportRequest | None = None,
    originals: ExportRequest | None = None,
    alone: str = "",
    transports: tuple[Transport, ...] = (),
) -> Case:
    """Return a poisoned text somewhere in a request.

    Args:
        number: of the catalogue.
        name: what is poisoned, and how.
        of_text: makes the request with a text in that place.
        poison: what stands there.
        stored: what comes back, when it is not the request with the repaired text.
        originals: what the letters hold, marks for poison, when it is not the whole request.
        alone: as in ``Case``.
        transports: as in ``Case``.
    """
    marked = of_text(poison.mark)
    kept = marked if originals is None else originals
    entries = None
    if poison.json is not None:
        entries = entries_of(marked).replace(poison.mark, poison.json)
    return Case(
        number=number,
        name=name,
        signal=signal_of(marked),
        end=Accepted(
            stored=stored or of_text(poison.stored),
            letters=poison.into(kept.SerializeToString()),
            outcome="repaired",
            reasons=frozenset({poison.reason}),
            readable=poison.out_of,
        ),
        wire=poison.into(marked.SerializeToString()),
        entries=entries,
        alone=alone,
        transports=transports,
    )


def quarantined(
    number: int,
    name: str,
    request: ExportRequest,
    *reasons: Reason,
    stored: ExportRequest | None = None,
    letters: ExportRequest | None = None,
) -> Case:
    """Return a request whose items cannot be stored, all of them or those in ``letters``."""
    return Case(
        number=number,
        name=name,
        signal=signal_of(request),
        end=Accepted(
            stored=stored or type(request)(),
            letters=(letters or request).SerializeToString(),
            outcome="quarantined",
            reasons=frozenset(reasons),
        ),
        wire=request.SerializeToString(),
        entries=request,
    )


def quarantined_wire(number: int, name: str, signal: Signal, wire: bytes, reason: Reason) -> Case:
    """Return one item that protobuf cannot read, in a request whose framing is whole."""
    return Case(
        number=number,
        name=name,
        signal=signal,
        end=Accepted(
            stored=REQUEST_TYPES[signal](),
            letters=wire,
            outcome="quarantined",
            reasons=frozenset({reason}),
        ),
        wire=wire,
    )


def rejected(
    number: int,
    name: str,
    signal: Signal,
    *,
    code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT,
    says: str = "",
    wire: bytes | None = None,
    entries: str | None = None,
    document: Callable[[str], bytes] | None = None,
    alone: str = "",
) -> Case:
    """Return a request that is refused whole and for good, with or without good items in it."""
    return Case(
        number=number,
        name=name,
        signal=signal,
        end=Rejected(code=code, says=says),
        wire=wire,
        entries=entries,
        document=document,
        alone=alone,
    )
