"""What flushers tell live tails: all that was committed, once, and with its transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from collector.buffer.entry import Outcome
from collector.rows import ConvertedRequest, Signal
from collector.settings import DatabaseSettings, TailSettings
from collector.store.pool import Connection
from collector.tail.message import Message, decode
from collector.tail.publisher import Publisher
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.converted import log_row, request
from tests.db.flushing import flushing
from tests.db.writing import NOW, rows_of
from tests.fault.proxy import Fault, wire_to
from tests.unit.tail.links import HandPublisherLink

XIDS = "SELECT DISTINCT xmin::text::bigint FROM logs ORDER BY 1"
STEP_S_MAX = 30.0


@pytest.fixture
async def settings(settings: DatabaseSettings) -> DatabaseSettings:
    """A database with leaves around now, whose flushers soon find out that an answer is lost."""
    return settings.model_copy(update={"statement_s_max": 0.2})


class Tails:
    """A publisher for somebody who listens, and what it sent."""

    def __init__(self) -> None:
        self.link = HandPublisherLink(Signal.LOGS)
        self.probe = TestProbe()
        self.metrics = Metrics()
        self.publisher = Publisher(
            TailSettings(), self.link, clock=SystemClock(), metrics=self.metrics, probe=self.probe
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Send inside the block."""
        sending = asyncio.create_task(self.publisher.run())
        try:
            async with asyncio.timeout(STEP_S_MAX):
                yield
        finally:
            sending.cancel()
            await asyncio.wait((sending,))

    async def messages(self, count: int) -> list[Message]:
        """Return the first so many."""
        await self.probe.reached("tail.published", count)
        return [decode(body) for _, body in self.link.sent]


def logs(name: str) -> ConvertedRequest:
    """Return a request with three log records."""
    return request(name, rows=[log_row(time=NOW + n, body=f"{name} {n}") for n in range(3)])


async def test_what_is_committed_is_offered_once_with_its_transaction(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A duplicate was committed by another one, and is neither shown nor counted."""
    tails = Tails()
    async with tails.running(), flushing(settings, publisher=tails.publisher) as stand:
        outcomes = [await stand.send(logs(name)) for name in ("a", "a", "b")]
        messages = await tails.messages(2)

    assert outcomes == [Outcome.STORED, Outcome.DUPLICATE, Outcome.STORED]
    assert [(message.head.first, message.head.items) for message in messages] == [(0, 3), (3, 3)]
    shown = [[line.get("body") for line in message.lines] for message in messages]
    assert shown == [["a 0", "a 1", "a 2"], ["b 0", "b 1", "b 2"]]
    xids = [(message.head.transaction_id or 0) % 2**32 for message in messages]
    assert [(xid,) for xid in xids] == await rows_of(connection, XIDS)


async def test_what_was_committed_by_nobody_knows_which_is_missed(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Its transaction is not known, so that it could be shown twice: readers are told of a gap."""
    tails = Tails()
    async with (
        tails.running(),
        wire_to(settings) as (wire, through),
        flushing(through, publisher=tails.publisher) as stand,
    ):
        await stand.send(logs("warm"))
        wire.fault = Fault.LOSE_REPLY
        assert await stand.send(logs("unsure")) is Outcome.STORED
        await stand.send(logs("sure"))
        messages = await tails.messages(2)

    assert [(message.head.first, message.head.items) for message in messages] == [(0, 3), (6, 3)]
    assert tails.metrics.tail_skipped.values == {("logs", "unsure"): 3}
    assert len(await rows_of(connection, XIDS)) == 3
