"""Which dimension rows this process need not write again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from collector.rows import Dimensions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.rows import ConvertedRequest

KNOWN_MAX = 200_000
"""Digests remembered per table; at about 90 bytes each."""

_HOURS = 24
_TABLES = len(Dimensions._fields)


class KnownDimensions:
    """Digests that this process has seen committed, so that a flush asks only for new ones.

    Bounded: the older half is forgotten when a table's half is full. Every digest is forgotten
    once a day too, at an hour that depends on it, so that ``last_seen`` is touched daily without
    all rows being touched at once. A lost connection clears everything: an asynchronous COMMIT
    may have been lost with it.
    """

    def __init__(self, entries_max: int = KNOWN_MAX) -> None:
        self._half = max(1, entries_max // 2)
        self._young: list[set[bytes]] = [set() for _ in range(_TABLES)]
        self._old: list[set[bytes]] = [set() for _ in range(_TABLES)]
        self._met: WeakSet[object] = WeakSet()
        self._hour: int | None = None
        self.epoch = 0

    def unknown(self, requests: Iterable[ConvertedRequest]) -> Dimensions | None:
        """Return the rows that ``requests`` refer to and that are not known; None for none."""
        found: list[dict[int, Any]] = [{} for _ in range(_TABLES)]
        missing = False
        for request in requests:
            for index, rows in enumerate(request.dimensions):
                young = self._young[index]
                for key, row in rows.items():
                    if row[-1] not in young and not self._promote(index, row[-1]):
                        found[index][key] = row
                        missing = True
        return Dimensions(*found) if missing else None

    def learn(self, dimensions: Dimensions, epoch: int) -> None:
        """Remember rows as committed, unless the cache was cleared since ``epoch``."""
        if epoch != self.epoch:
            return
        for index, rows in enumerate(dimensions):
            for row in rows.values():
                self._add(index, row[-1])

    def clear(self) -> None:
        """Know nothing; what was learned under an earlier ``epoch`` will not count."""
        self.epoch += 1
        for known in (*self._young, *self._old):
            known.clear()

    def meet(self, connection: object) -> None:
        """Clear when ``connection`` is new: it may stand in for one that was lost unnoticed."""
        if connection not in self._met:
            self._met.add(connection)
            self.clear()

    def pass_time(self, hour: int) -> None:
        """Forget the digests whose hour has come; ``hour`` counts from any fixed moment."""
        if self._hour is None or hour < self._hour:
            self._hour = hour
        while self._hour < hour:
            self._hour = max(self._hour, hour - _HOURS) + 1
            slot = self._hour % _HOURS
            for halves in (self._young, self._old):
                for index, known in enumerate(halves):
                    halves[index] = {d for d in known if d[0] % _HOURS != slot}

    def _promote(self, index: int, digest: bytes) -> bool:
        if digest not in self._old[index]:
            return False
        self._add(index, digest)
        return True

    def _add(self, index: int, digest: bytes) -> None:
        if len(self._young[index]) >= self._half:
            self._old[index] = self._young[index]
            self._young[index] = set()
        self._young[index].add(digest)
