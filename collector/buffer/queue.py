"""A bounded FIFO of whole requests that senders wait for and flushers take in groups."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from collector.buffer.budget import ByteBudget, fits
from collector.buffer.entry import End, Entry, Outcome
from collector.errors import DrainingError, HoldExpiredError, QueueFullError, RefusedRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from collector.rows import ConvertedRequest


def _count_nothing(end: End, items: int) -> None:
    """Keep no books."""
    del end, items


class Reservation:
    """Room in the byte budget for one request, before it is known how large it becomes."""

    def __init__(self, charge: Callable[[int, int], None]) -> None:
        self._charge = charge
        self.size_bytes = 0

    def grow_to(self, size_bytes: int) -> None:
        """Hold at least ``size_bytes`` from now on; never shrinks.

        A request that grows beyond half the budget goes on only while all others hold at most half
        of it, so of two that cannot both fit one ends, and the other finds its room.

        Raises:
            DrainingError: the queue was closed.
            QueueFullError: no room. What was held is held still.
        """
        if size_bytes > self.size_bytes:
            self._charge(self.size_bytes, size_bytes)
            self.size_bytes = size_bytes


class BoundedQueue:
    """The queue of one signal: bounded, fair (FIFO), and never a reason for a flusher to stop.

    Everything runs on one event loop; no method but ``take``, ``wait`` and ``empty`` awaits, so
    each other one is atomic.
    """

    def __init__(
        self,
        items_max: int,
        budget: ByteBudget,
        *,
        count: Callable[[End, int], None] = _count_nothing,
    ) -> None:
        """``count`` is told the end of every item that ever got in, exactly once per sender."""
        self.items_max = items_max
        self.items = 0
        self.items_waiting = 0  # of ``items``, those that no flusher has taken yet
        self.bytes = 0
        self.closed = False
        self._budget = budget
        self._count = count
        self._waiting: OrderedDict[Entry, None] = OrderedDict()
        self._held: set[Entry] = set()  # waiting and in flight
        self._by_digest: dict[bytes, Entry] = {}
        self._takers: deque[asyncio.Future[None]] = deque()
        self._emptied: list[asyncio.Future[None]] = []
        self._giants_in_flight = 0

    @property
    def entries_waiting(self) -> int:
        """Entries that no flusher has taken yet."""
        return len(self._waiting)

    @property
    def entries_held(self) -> int:
        """Entries that wait or are in flight."""
        return len(self._held)

    # -- the receiver's side ---------------------------------------------------------------------

    def find(self, digest: bytes) -> Entry | None:
        """Join the entry that holds the same bytes, waiting or in flight; None when there is none.

        The caller now is one of its senders and must ``wait`` (or ``leave``) exactly once.
        """
        entry = self._by_digest.get(digest)
        if entry is not None:
            entry.senders += 1
        return entry

    @contextmanager
    def reserve(self, size_bytes: int) -> Generator[Reservation]:
        """Charge the budget, inside the ``with``, for a request that is not converted yet.

        So what is under way counts as well as what waits, and a request that will find no room is
        refused before it costs anything. The ``offer`` follows with no await between.

        Raises:
            DrainingError: the queue was closed.
            QueueFullError: no room. Nothing was charged.
        """
        reservation = Reservation(self._charge)
        reservation.grow_to(size_bytes)
        try:
            yield reservation
        finally:
            self._budget.remove(reservation.size_bytes)

    def offer(self, request: ConvertedRequest) -> Entry:
        """Put a request at the end of the queue, or join the entry that holds the same bytes.

        The caller now is one of its senders and must ``wait`` (or ``leave``) exactly once. A request
        that is not in the ledger joins nothing: its equal bytes are not a retry.

        Raises:
            DrainingError: the queue was closed. Nothing was counted; that is the caller's task.
            QueueFullError: no room. Nothing was taken, dropped or counted.
        """
        if request.in_ledger and (joined := self.find(request.digest)) is not None:
            return joined
        self._check_room(request.items, request.size_bytes)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        entry = Entry(request, future, items=request.items, size_bytes=request.size_bytes)
        self._hold(entry)
        self._wake_taker()
        return entry

    async def wait(self, entry: Entry, hold_s: float) -> Outcome:
        """Return how the entry's transaction ended, once it is committed.

        Cancelling the caller, or the end of the hold, makes only this sender leave.

        Raises:
            HoldExpiredError: not committed in time. Its items are counted already.
            RefusedRequestError: the entry was given up, see ``fail``. Likewise counted.
        """
        try:
            await asyncio.wait((entry.future,), timeout=hold_s)
        except asyncio.CancelledError:
            self.leave(entry)
            raise
        if not entry.future.done():
            self.leave(entry)
            raise HoldExpiredError(hold_s)
        return entry.future.result()

    def leave(self, entry: Entry) -> bool:
        """Take one sender away; True when the entry left the queue with it.

        Not taken and nobody else waits: the entry is removed, its items end as refused. Taken: its
        outcome stands and will count for the last sender, unless its transaction fails, see
        ``pause``. Settled: counted already.
        """
        assert entry.senders > 0, "a sender can leave only once"
        if entry.settled:
            return False
        entry.senders -= 1
        if entry.senders == 0 and entry.taken:
            entry.departed += 1
            if entry.paused:
                self._give_up(entry)
            return entry.settled
        self._count(End.REFUSED, entry.items)
        if entry.senders > 0:
            return False
        self._release(entry)
        entry.future.cancel()
        return True

    def close(self) -> None:
        """Take no new offers; ``take`` returns an empty group once nothing waits. Safe twice."""
        self.closed = True
        self._wake_all()

    async def empty(self) -> None:
        """Return once nothing waits and nothing is in flight."""
        while self._held:
            emptied: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._emptied.append(emptied)
            await emptied

    # -- the flusher's side ----------------------------------------------------------------------

    async def take(self, rows_max: int, bytes_max: int, giants_max: int) -> list[Entry]:
        """Wait for something and take the oldest entries that fit one transaction together.

        An entry beyond ``rows_max`` or ``bytes_max`` is a giant: it comes alone, and while
        ``giants_max`` of them are in flight the entries behind it pass.

        Shape: at least one entry, in the order of their offers; empty only after ``close``. Each
        entry must be settled or failed by the caller; until then it counts as held.
        """
        while not (group := self._pick(rows_max, bytes_max, giants_max)):
            if self.closed and not self._waiting:
                return []
            taker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            try:
                await taker
            except asyncio.CancelledError:
                if taker.done() and not taker.cancelled():
                    self._wake_taker()  # the wake-up was ours; somebody else must have it
                else:
                    self._takers.remove(taker)
                raise
        if self._waiting:
            self._wake_taker()
        elif self.closed:
            self._wake_all()
        return group

    def set_aside(self, entry: Entry) -> None:
        """Let another giant be taken: this entry is in trouble and no longer in a flusher's way."""
        if entry.giant and not entry.settled:
            entry.giant = False
            self._giants_in_flight -= 1
            self._wake_taker()

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Tell every sender that the entry is committed, and count the end of its items. Safe twice.

        The first sender's items are stored, quarantined or rejected as the request says; those of
        every other sender of the same bytes are duplicates.
        """
        if entry.settled:
            return
        senders = entry.senders + entry.departed
        request = entry.request
        if outcome is Outcome.STORED:
            self._count(End.STORED, entry.items - request.quarantined - request.rejected)
            self._count(End.QUARANTINED, request.quarantined)
            self._count(End.REJECTED, request.rejected)
            senders -= 1
        self._count(End.DUPLICATE, entry.items * senders)
        self._release(entry)
        if not entry.future.done():
            entry.future.set_result(outcome)

    def pause(self, entry: Entry) -> None:
        """Note that the entry's transaction has failed, and that the next one is not under way.

        Until ``resume`` the entry is given up as soon as it has no sender, now or later: its items
        end as refused, and the room is free for others. Whoever wants them stored sends the bytes
        again; if a COMMIT without an answer did store them, the ledger says so then.
        """
        entry.paused = True
        if entry.senders == 0:
            self._give_up(entry)

    def resume(self, entry: Entry) -> bool:
        """Let the outcome of the next transaction stand; False when the entry is given up."""
        entry.paused = False
        return not entry.settled

    def fail(self, entry: Entry, error: RefusedRequestError) -> None:
        """Give an entry up, so that its senders try again.

        Only when a drain ran out of time, when all its senders have left, or when it brings more
        new series than may come now.
        """
        if entry.settled:
            return
        self._count(End.REFUSED, entry.items * (entry.senders + entry.departed))
        self._release(entry)
        if not entry.future.done():
            entry.future.set_exception(error)
            entry.future.exception()  # seen: a sender may have left, and that is no news

    def fail_all(self, error: RefusedRequestError) -> int:
        """Give up whatever is held, waiting and in flight; return the number of entries."""
        held = list(self._held)
        for entry in held:
            self.fail(entry, error)
        return len(held)

    # -- inside ----------------------------------------------------------------------------------

    def _charge(self, before_bytes: int, size_bytes: int) -> None:
        """Charge ``size_bytes`` for what was charged ``before_bytes``, if there is room for all of it."""
        self._budget.remove(before_bytes)
        try:
            self._check_room(0, size_bytes)
        except RefusedRequestError:
            self._budget.add(before_bytes)
            raise
        self._budget.add(size_bytes)

    def _give_up(self, entry: Entry) -> None:
        self.fail(entry, RefusedRequestError("every sender has left"))

    def _check_room(self, items: int, size_bytes: int) -> None:
        if self.closed:
            raise DrainingError
        budget = self._budget
        if fits(items, self.items, self.items_max) and budget.has_room(size_bytes):
            return
        raise QueueFullError(
            offered_items=items,
            offered_bytes=size_bytes,
            free_items=max(0, self.items_max - self.items),
            free_bytes=budget.free,
        )

    def _hold(self, entry: Entry) -> None:
        self._waiting[entry] = None
        self.items_waiting += entry.items
        self._held.add(entry)
        if entry.request.in_ledger:
            self._by_digest[entry.request.digest] = entry
        self.items += entry.items
        self.bytes += entry.size_bytes
        self._budget.add(entry.size_bytes)

    def _release(self, entry: Entry) -> None:
        entry.settled = True
        self._held.remove(entry)
        if not entry.taken:
            self._stop_waiting(entry)
        if entry.request.in_ledger:
            del self._by_digest[entry.request.digest]
        self.items -= entry.items
        self.bytes -= entry.size_bytes
        self._budget.remove(entry.size_bytes)
        if entry.giant:
            self._giants_in_flight -= 1
            self._wake_taker()
        if self.closed and not self._waiting:
            self._wake_all()
        if not self._held:
            emptied, self._emptied = self._emptied, []
            for future in emptied:
                if not future.done():
                    future.set_result(None)

    def _pick(self, rows_max: int, bytes_max: int, giants_max: int) -> list[Entry]:
        group: list[Entry] = []
        rows = size_bytes = 0
        for entry in self._waiting:
            rows += entry.items
            size_bytes += entry.size_bytes
            if rows <= rows_max and size_bytes <= bytes_max:
                group.append(entry)
                continue
            if group:
                break
            if self._giants_in_flight < giants_max:
                entry.giant = True
                self._giants_in_flight += 1
                group.append(entry)
                break
            rows = size_bytes = 0  # a giant that has to wait lets the entries behind it pass
        for entry in group:
            entry.taken = True
            self._stop_waiting(entry)
        return group

    def _stop_waiting(self, entry: Entry) -> None:
        del self._waiting[entry]
        self.items_waiting -= entry.items

    def _wake_all(self) -> None:
        while self._takers:
            self._wake_taker()

    def _wake_taker(self) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return
