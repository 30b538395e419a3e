"""Cases of every door, judged: the oracle, the listener, and PostgreSQL for many at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from collector.errors import StoreError
from collector.rows import ConvertedRequest, Signal
from collector.settings import DatabaseSettings
from collector.store.pool import connect
from tests.equality import assert_same_items, item_texts
from tests.factories import ExportRequest
from tests.fuzz.case import Case, Encoding
from tests.fuzz.http_door import HttpDoor
from tests.fuzz.oracle import Judged, Oracle
from tests.storage import Storage

BATCH_ROWS = 2_000
BATCH_CASES = 200


class Stored(NamedTuple):
    """A case that waits for its turn in PostgreSQL, with what must come back."""

    case: Case
    converted: ConvertedRequest
    restored: ExportRequest


class Refusal(NamedTuple):
    """A case that PostgreSQL did not take or did not give back."""

    case: Case
    error: Exception


class Judge:
    """Judges cases and keeps what they would store until there is enough for one COPY.

    Args:
        settings: of a migrated database with nothing in it.
        door: of the HTTP listener.
        weighs: see ``Oracle``.
    """

    def __init__(self, settings: DatabaseSettings, door: HttpDoor, *, weighs: bool = True) -> None:
        self._settings = settings
        self._door = door
        self._oracle = Oracle(weighs=weighs)
        self._storage: Storage | None = None
        self._waiting: dict[Signal, list[Stored]] = {signal: [] for signal in Signal}
        self.copied_rows = 0

    async def judge(self, case: Case) -> Judged:
        """Return what became of the case; see ``Oracle.judge`` for what it raises."""
        if case.door.encoding is Encoding.HTTP:
            return Judged(await self._door.judge(case.data))
        judged = self._oracle.judge(case)
        if judged.converted is not None and judged.restored is not None:
            waiting = self._waiting[judged.converted.signal]
            waiting.append(Stored(case, judged.converted, judged.restored))
        return judged

    def is_full(self, signal: Signal) -> bool:
        """Tell whether enough cases of a signal wait."""
        waiting = self._waiting[signal]
        rows = sum(len(stored.converted.rows) for stored in waiting)
        return len(waiting) >= BATCH_CASES or rows >= BATCH_ROWS

    async def copy(self, signal: Signal) -> list[Refusal]:
        """Store what waits in one transaction and compare; return whom it failed for."""
        waiting, self._waiting[signal] = self._waiting[signal], []
        return await self._copy(signal, waiting) if waiting else []

    async def _copy(self, signal: Signal, batch: Sequence[Stored]) -> list[Refusal]:
        try:
            await self._compare(signal, batch)
        except (StoreError, AssertionError) as error:
            self.stop()
            half = len(batch) // 2
            if not half:
                return [Refusal(batch[0].case, error)]
            refusals = [
                *await self._copy(signal, batch[:half]),
                *await self._copy(signal, batch[half:]),
            ]
            return refusals or [Refusal(batch[0].case, error)]  # they fail only together
        return []

    async def _compare(self, signal: Signal, batch: Sequence[Stored]) -> None:
        storage = await self._ready()
        back = await storage.there_and_back(signal, [stored.converted for stored in batch])
        self.copied_rows += sum(len(stored.converted.rows) for stored in batch)
        wanted: Counter[str] = Counter()
        for stored in batch:
            wanted.update(item_texts(stored.restored))
        if Counter(item_texts(back)) != wanted:
            whole = type(back)()
            for stored in batch:
                whole.MergeFromString(stored.restored.SerializeToString())
            assert_same_items(back, whole)

    async def _ready(self) -> Storage:
        """Return the storage; after a failure on a new connection, with nothing left in it."""
        if self._storage is None:
            storage = Storage(await connect(self._settings), self._settings)
            await storage.prepare()
            await storage.clear()
            self._storage = storage
        return self._storage

    def stop(self) -> None:
        """Close the connection."""
        if self._storage is not None:
            self._storage.terminate()
            self._storage = None
