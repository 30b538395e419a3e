"""Which transactions a reader saw: the seam between what is stored and what goes on live."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ``pg_snapshot``: every transaction is either seen by it or not, for ever.

    Of two items, one read under the snapshot and one committed by ``xid``, the second is new exactly
    when ``sees(xid)`` is false.

    Shape: ids are 64-bit ``xid8``, with the epoch; the 32-bit ``xmin`` of a row is none.
    """

    xmin: int  # all below are over
    xmax: int  # all from here on had not begun to write
    running: frozenset[int]  # between the two, and not over

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Return the snapshot that PostgreSQL writes as ``xmin:xmax:running,..``.

        Raises:
            ValueError: it is none.
        """
        xmin, xmax, running = text.split(":")
        ids = frozenset(map(int, running.split(","))) if running else frozenset[int]()
        return cls(int(xmin), int(xmax), ids)

    def sees(self, xid: int) -> bool:
        """Tell whether what the transaction wrote could be seen, given that it has committed.

        Spec: PostgreSQL, ``pg_visible_in_snapshot(xid8, pg_snapshot)``.
        """
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, sorted(self.running)))}"
