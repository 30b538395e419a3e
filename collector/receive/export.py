"""The one export body: read, convert, offer, wait for COMMIT; the same for signals and protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import NamedTuple

from collector.buffer.entry import End, Entry, Outcome
from collector.buffer.queue import BoundedQueue, Reservation
from collector.convert.example import example_of
from collector.convert.identity import digest_steps
from collector.convert.request import Converter
from collector.errors import (
    HoldExpiredError,
    ReadTimeoutError,
    RefusedRequestError,
    WrongSignalError,
)
from collector.receive.bodies import Bodies
from collector.receive.limits import Slots, connection_share, hold_s
from collector.receive.turns import Turns
from collector.rows import ConvertedRequest, Signal
from collector.settings import ReceiveSettings
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe

Read = Callable[[], Awaitable[bytes]]
"""Reads the one body of a call; a protocol's own way to do it."""

Transcode = Callable[[bytes], Awaitable[bytes]]
"""Makes protobuf of a body that came in another encoding; it may have to wait for others."""


class Ack(NamedTuple):
    """OK: what is kept is committed. ``message`` is empty when every item is in its table."""

    rejected: int = 0
    message: str = ""


_ALL_STORED = Ack()

BYTES_WHILE_CONVERTED = 4
"""What a body is expected to hold while it is converted, in bodies: it, and the rows that it becomes.
The requests of ``otlpg bench`` end at 3.3 (spans, logs) and 5.3 (points). What turns out to become more
is charged for more from slice to slice: 200 000 empty log records are 0.4 MiB and become 60."""


class Export:
    """Takes one request from its first byte to the verdict; holds no state between requests."""

    def __init__(
        self,
        *,
        settings: ReceiveSettings,
        converter: Converter,
        queues: Mapping[Signal, BoundedQueue],
        clock: Clock,
        metrics: Metrics,
        probe: Probe,
        turns: Turns,
    ) -> None:
        self._settings = settings
        self._slots = Slots(settings.slots, per_connection=connection_share(settings))
        share = max(1, settings.slots // 2)
        self._slots_to_transcode = Slots(share, per_connection=share)
        self._bodies = Bodies(settings.bodies_bytes_max)
        self._converter = converter
        self._turns = turns
        self._queues = queues
        self._clock = clock
        self._metrics = metrics
        self._probe = probe
        self._trouble = Trouble("otlpg.receive", clock)

    async def export(
        self,
        signal: Signal,
        read: Read,
        *,
        left_s: float | None,
        transcode: Transcode | None = None,
        body_bytes_max: int | None = None,
        connection: str = "",
        credential_id: bytes = b"",
    ) -> Ack:
        """Return once everything that can be kept is committed; every other way out raises.

        Cancelled: this sender leaves. What no flusher has taken yet is removed, what is in flight
        is stored, and a retry is recognised.

        ``transcode`` None: the body is protobuf. All bodies that are not hold at most half of the
        slots (but one), since they wait for one another where protobuf needs not.

        Units: ``left_s`` is what the sender still waits, None when it named no deadline;
        ``body_bytes_max`` the largest that ``read`` may return, None when no less than
        ``request_bytes_max`` is known.

        Shape: ``connection`` tells one connection from another, and nothing else.

        Raises:
            RejectedRequestError: the same bytes will never be taken.
            RefusedRequestError: nothing is wrong with them; try again.
        """
        settings = self._settings
        began_s = self._clock.monotonic_s()
        give_up_at_s = began_s + hold_s(left_s, settings)
        room_by_s = min(began_s + settings.slot_wait_s_max, give_up_at_s)
        async with (
            self._share_of_slots(transcode, connection, self._until(room_by_s)),
            self._slots.take(connection, self._until(room_by_s)) as slot,
            self._bodies.reserve(
                settings.request_bytes_max if body_bytes_max is None else body_bytes_max,
                self._until(room_by_s),
            ) as room,
        ):
            await self._probe.reach("receive.slot_taken")
            payload = await self._read(read, self._until(give_up_at_s))
            slot.body_is_here()
            room.shrink(len(payload))
            if transcode is not None:
                payload = await self._transcode(transcode, payload, self._until(give_up_at_s))
                room.shrink(len(payload))
            started_s = self._clock.monotonic_s()
            entry = (
                await self._admit(signal, payload, credential_id, give_up_at_s) if payload else None
            )
            del payload  # the entry has what is needed; a held call must not keep a second copy
        if entry is None:
            return _ALL_STORED
        await self._probe.reach("receive.offered")
        try:
            outcome = await self._queues[signal].wait(entry, self._until(give_up_at_s))
        except HoldExpiredError:
            raise HoldExpiredError(self._clock.monotonic_s() - began_s) from None
        self._metrics.ack_seconds.observe(self._clock.monotonic_s() - started_s, signal)
        self._tell(entry.request, outcome)
        return to_ack(entry.request, outcome)

    def _tell(self, request: ConvertedRequest, outcome: Outcome) -> None:
        """Log what had to be changed or set aside, and the name of one such item.

        All other texts of senders stay in dead_letters: see ``convert.example``.
        """
        if outcome is Outcome.DUPLICATE:
            return
        for kind, count in (
            ("repaired", request.repaired),
            ("quarantined", request.quarantined),
            ("rejected", request.rejected),
        ):
            if count:
                self._trouble.warn(
                    f"items {kind}",
                    _reasons(request, kind),
                    signal=request.signal,
                    items=count,
                    of_items=request.items,
                    example=partial(_example, request, kind),
                )

    def _until(self, moment_s: float) -> float:
        return max(0.0, moment_s - self._clock.monotonic_s())

    async def _read(self, read: Read, wait_s: float) -> bytes:
        wait_s = min(wait_s, self._settings.read_s_max)
        try:
            async with asyncio.timeout(wait_s):
                return await read()
        except TimeoutError:
            raise ReadTimeoutError(wait_s) from None

    def _share_of_slots(
        self, transcode: Transcode | None, connection: str, wait_s: float
    ) -> AbstractAsyncContextManager[object]:
        if transcode is None:
            return nullcontext()
        return self._slots_to_transcode.take(connection, wait_s)

    async def _transcode(self, transcode: Transcode, payload: bytes, wait_s: float) -> bytes:
        await self._probe.reach("receive.transcoding")
        try:
            async with asyncio.timeout(wait_s):
                return await transcode(payload)
        except TimeoutError:
            raise HoldExpiredError(wait_s) from None

    async def _admit(
        self, signal: Signal, payload: bytes, credential_id: bytes, give_up_at_s: float
    ) -> Entry | None:
        """Join the entry with the same bytes, or convert them and offer; None: nothing to store."""
        queue = self._queues[signal]
        digest = await self._digest(credential_id, signal, payload)
        entry = queue.find(digest)
        if entry is not None:
            self._metrics.items.add(entry.items, signal, "received")
            return entry
        with queue.reserve(BYTES_WHILE_CONVERTED * len(payload)) as room:
            request = await self._convert(signal, payload, digest, room, give_up_at_s)
        if not request.items and not request.dead_letters:
            return None
        self._metrics.items.add(request.items, signal, "received")
        try:
            return queue.offer(request)
        except RefusedRequestError:
            self._metrics.items.add(request.items, signal, End.REFUSED)
            raise

    async def _digest(self, credential_id: bytes, signal: Signal, payload: bytes) -> bytes:
        """Hash the request; a large one step by step, since 64 MiB take some 70 ms."""
        steps = digest_steps(credential_id, signal, payload)
        began_s = self._turns.now_s()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                digest: bytes = end.value
                return digest
            began_s = await self._turns.give_way(began_s)

    async def _convert(
        self,
        signal: Signal,
        payload: bytes,
        digest: bytes,
        room: Reservation,
        give_up_at_s: float,
    ) -> ConvertedRequest:
        """Run the converter slice by slice; other calls have their turn between two slices.

        Raises:
            HoldExpiredError: it would end too late for the sender.
            QueueFullError: it becomes more than ``room`` can grow to.
        """
        steps = self._converter.steps(signal, payload, digest=digest, now_ns=self._clock.unix_ns())
        spent_s, began_s = 0.0, self._clock.monotonic_s()
        while True:
            try:
                made_bytes = next(steps)
            except StopIteration as end:
                request: ConvertedRequest = end.value
                break
            now_s = self._clock.monotonic_s()
            spent_s += now_s - began_s
            if now_s >= give_up_at_s:
                raise HoldExpiredError(spent_s)
            room.grow_to(made_bytes)
            await self._probe.reach("receive.slice_converted")
            began_s = await self._turns.give_way(began_s)
        if not spent_s:
            self._turns.small_came()
        spent_s += self._clock.monotonic_s() - began_s
        self._metrics.convert_seconds.observe(spent_s, signal)
        return request


def to_ack(request: ConvertedRequest, outcome: Outcome) -> Ack:
    """Return what the sender of a committed request hears.

    A duplicate is committed as well, and its first sender was told about its items.

    Raises:
        WrongSignalError: the bytes are kept once, but this was the wrong door for them.
    """
    if request.wrong_signal:
        raise WrongSignalError(request.signal, request.items)
    if outcome is Outcome.DUPLICATE or not (request.quarantined or request.rejected):
        return _ALL_STORED
    parts: list[str] = []
    for what, kind, count in (
        ("kept in dead_letters only", "quarantined", request.quarantined),
        ("cannot be stored", "rejected", request.rejected),
    ):
        if count:
            reasons = _reasons(request, kind)
            parts.append(f"{what}: {count} of {request.items} items ({reasons})")
    return Ack(request.rejected, "; ".join(parts) + "; do not send them again")


def _example(request: ConvertedRequest, outcome: str) -> str:
    """Return the name of an item of this end; empty when its letter is not in this request."""
    payloads = (row.payload for row in request.dead_letters if row.outcome == outcome)
    payload = next(payloads, None)
    return "" if payload is None else example_of(request.signal, payload)


def _reasons(request: ConvertedRequest, outcome: str) -> str:
    """Return our own short codes, sorted; never a text of the sender."""
    return ", ".join(sorted({row.reason for row in request.dead_letters if row.outcome == outcome}))
