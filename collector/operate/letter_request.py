"""What the payload of a dead letter becomes today, as if it had just come when it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.convert.identity import request_digest
from collector.convert.request import Converter
from collector.rows import PG_EPOCH_UNIX_US, Signal

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest
    from collector.settings import Settings
    from collector.store.letter_queries import Letter


def letter_converter(settings: Settings) -> Converter:
    """Return a converter with the settings of today."""
    return Converter(settings.convert, retention_s=settings.partitions.retention_s)


def as_received(
    converter: Converter, letter: Letter, *, as_signal: Signal | None = None
) -> ConvertedRequest:
    """Return what the letter's payload becomes under its own receive time.

    The ledger is to know it only where ``as_signal`` makes it another request than it was.

    Raises:
        RejectedRequestError: it is no request of its signal, or of ``as_signal``, at all.
    """
    head = letter.head
    signal = as_signal or Signal(head.signal)
    request = converter.convert(
        signal,
        letter.payload,
        digest=request_digest(b"", signal, letter.payload),
        now_ns=(head.received_at + PG_EPOCH_UNIX_US) * 1_000,
    )
    request.in_ledger = request.in_ledger and as_signal is not None
    request.attempts = head.attempts + 1
    request.dead_letters = [row._replace(attempts=request.attempts) for row in request.dead_letters]
    return request
