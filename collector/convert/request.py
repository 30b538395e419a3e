"""The converter: one export request from bytes to rows, in slices with turns for others between."""

from __future__ import annotations

from collections.abc import Generator

from collector.convert.conversion import Conversion
from collector.convert.memo import Memo
from collector.convert.times import window_at
from collector.rows import ConvertedRequest, Signal
from collector.settings import ConvertSettings


class Converter:
    """Turns requests of all signals into rows; owns the memo, which outlives them.

    One per process and event loop: several requests may be under way at once, each in its own
    ``steps``, but not in several threads.
    """

    def __init__(self, settings: ConvertSettings, *, retention_s: float) -> None:
        self._settings = settings
        self._retention_s = retention_s
        self.memo = Memo(settings.memo_bytes_max)

    def steps(
        self, signal: Signal, payload: bytes, *, digest: bytes, now_ns: int
    ) -> Generator[int, None, ConvertedRequest]:
        """Convert one request; yield between slices, so that others get their turn.

        Units: what it yields is the memory, in bytes, that the request takes so far.

        Args:
            signal: what it should be.
            payload: the whole decompressed body; kept in the result.
            digest: of ``request_digest``.
            now_ns: the receive time, nanoseconds since 1970.

        Raises:
            UndecodableError: the framing of the request, a resource or a scope is broken.
            TooManyItemsError: it holds more items than ``items_max``.
        """
        window = window_at(now_ns, self._retention_s)
        conversion = Conversion(signal, payload, self._settings, self.memo, window)
        steps = conversion.steps(digest)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                request: ConvertedRequest = end.value
                return request
            yield conversion.size_bytes

    def convert(
        self, signal: Signal, payload: bytes, *, digest: bytes, now_ns: int
    ) -> ConvertedRequest:
        """Convert one request in one go; as ``steps`` otherwise."""
        steps = self.steps(signal, payload, digest=digest, now_ns=now_ns)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                return done.value
