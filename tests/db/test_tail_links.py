"""From a publisher to a feed, over a real Redis and over the socket of one daemon."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import SecretStr

from collector.errors import LinkError
from collector.rows import Signal
from collector.settings import RedisSettings, TailSettings
from collector.tail import publisher as publisher_module
from collector.tail import redis_link, subscriber
from collector.tail.link import PublisherLink, SubscriberLink
from collector.tail.local_link import LocalPublisherLink, LocalServer, LocalSubscriberLink
from collector.tail.publisher import Publisher
from collector.tail.redis_link import RedisPublisherLink, RedisSubscriberLink, channel
from collector.tail.subscriber import Feed, Started
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.redis_server import RedisServer, redis_server
from tests.unit.tail.flushed import numbered, points, spans
from tests.unit.tail.noting import Notes

WAIT_S = 20.0
_numbers = itertools.count(1)


class Wire(Protocol):
    """A way from publishers to feeds, that the test can break."""

    def publisher(self) -> PublisherLink:
        """Return the end of one more worker."""
        ...

    def feed(self, signal: Signal) -> SubscriberLink:
        """Return the end of the API for a signal."""
        ...

    async def break_and_mend(self) -> None:
        """Let everything that is connected lose its connection."""
        ...


@dataclass
class OverRedis:
    """A real Redis, and channels of this test's own."""

    server: RedisServer
    settings: RedisSettings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = RedisSettings(
            url=SecretStr(self.server.url), channel_prefix=f"test{next(_numbers)}"
        )

    def publisher(self) -> PublisherLink:
        """Return the end of one more worker."""
        return RedisPublisherLink(self.settings)

    def feed(self, signal: Signal) -> SubscriberLink:
        """Return the end of the API for a signal."""
        return RedisSubscriberLink(self.settings, signal)

    async def break_and_mend(self) -> None:
        """Kill the server and start it again."""
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)


class OverSocket:
    """The API's socket, served inside this process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = LocalServer(path)
        self.task = asyncio.create_task(self.server.run())

    def publisher(self) -> PublisherLink:
        """Return the end of one more worker."""
        return LocalPublisherLink(self.path)

    def feed(self, signal: Signal) -> SubscriberLink:
        """Return the end of the API for a signal."""
        return LocalSubscriberLink(self.server, signal)

    async def break_and_mend(self) -> None:
        """Cut off every worker."""
        for writer in self.server._workers:  # pyright: ignore[reportPrivateUsage]
            writer.transport.abort()

    async def stop(self) -> None:
        """End it."""
        self.task.cancel()
        await asyncio.wait((self.task,), timeout=WAIT_S)
        assert self.task.done()


@pytest.fixture(params=["redis", "local"])
async def wire(request: pytest.FixtureRequest) -> AsyncGenerator[Wire]:
    """Each of the two links."""
    if request.param == "redis":
        with redis_server() as server:
            yield OverRedis(server)
        return
    with tempfile.TemporaryDirectory(prefix="otlpg-test-") as folder:
        over = OverSocket(Path(folder) / "tail")
        yield over
        await over.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both sides try again at once."""
    monkeypatch.setattr(publisher_module, "RETRY_S_MIN", 0.01)
    monkeypatch.setattr(LocalPublisherLink, "retry_s_max", 0.05)
    monkeypatch.setattr(RedisPublisherLink, "retry_s_max", 0.05)
    monkeypatch.setattr(subscriber, "RETRY_S", 0.01)


class Worker:
    """A publisher that runs."""

    def __init__(self, link: PublisherLink) -> None:
        self.probe = TestProbe()
        self.metrics = Metrics()
        self.publisher = Publisher(
            TailSettings(), link, clock=SystemClock(), metrics=self.metrics, probe=self.probe
        )

    def commit(self, first: int, count: int = 1) -> None:
        """Tell of numbered log records."""
        self.publisher.offer(Signal.LOGS, [numbered(first, count)], 9)

    async def wanted(self, signal: Signal, *, wanted: bool = True) -> None:
        """Return once the worker knows that somebody, or nobody, listens."""
        async with asyncio.timeout(WAIT_S):
            while self.publisher.wanted(signal) is not wanted:  # noqa: ASYNC110 -- its link asks
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(*stages: Worker | Feed) -> AsyncGenerator[None]:
    """Run publishers and feeds inside the block."""
    tasks = [
        asyncio.create_task(stage.run() if isinstance(stage, Feed) else stage.publisher.run())
        for stage in stages
    ]
    try:
        async with asyncio.timeout(2 * WAIT_S):
            yield
    finally:
        for task in tasks:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=WAIT_S)
        assert not pending, "it does not end when it is cancelled"


async def test_everything_after_the_beginning_is_heard_once(wire: Wire) -> None:
    """From two workers, each in its order."""
    workers = [Worker(wire.publisher()), Worker(wire.publisher())]
    notes = Notes()
    feed = Feed(wire.feed(Signal.LOGS), notes, SystemClock(), workers=2)
    async with running(*workers):
        for worker in workers:
            await worker.wanted(Signal.LOGS, wanted=False)
            worker.commit(0, 5)  # nobody listens yet
        async with running(feed):
            started = await feed.begin()
            for n in range(10):
                for name, worker in enumerate(workers):
                    worker.commit(1_000 * (name + 1) + n)
            told = await notes.until_so_many(20)

    assert started == Started(2, 2)
    for name in (1_000, 2_000):
        own = [int(body) for body, _ in told if int(body) // 1_000 == name // 1_000]
        assert own == list(range(name, name + 10))
    assert len(told) == 20


async def test_signals_do_not_mix(wire: Wire) -> None:
    """A feed of log records hears no spans and no points."""
    worker, notes = Worker(wire.publisher()), Notes()
    feed = Feed(wire.feed(Signal.LOGS), notes, SystemClock(), workers=1)
    async with running(worker, feed):
        await feed.begin()
        await worker.wanted(Signal.TRACES, wanted=False)
        worker.publisher.offer(Signal.TRACES, [spans("a")], 1)
        worker.publisher.offer(Signal.METRICS, [points(1)], 2)
        worker.commit(7)
        told = await notes.until(("7", 9))

    assert told == [("7", 9)]
    assert worker.metrics.tail_published.values == {("logs",): 1}


async def test_who_leaves_is_no_longer_published_for(wire: Wire) -> None:
    """Within seconds, whatever is committed meanwhile."""
    worker = Worker(wire.publisher())
    feed = Feed(wire.feed(Signal.LOGS), Notes(), SystemClock(), workers=1)
    async with running(worker):
        async with running(feed):
            await feed.begin()
            await worker.wanted(Signal.LOGS)
        await worker.wanted(Signal.LOGS, wanted=False)
        worker.commit(1)

        assert worker.publisher.backlog_bytes == 0, "it was built for nobody"
    assert sum(worker.metrics.tail_published.values.values()) == 0


async def test_after_a_break_the_gap_is_told_though_nothing_more_is_committed(wire: Wire) -> None:
    """Exactly: what was committed while the link was away, and in it."""
    worker, notes = Worker(wire.publisher()), Notes()
    feed = Feed(wire.feed(Signal.LOGS), notes, SystemClock(), workers=1)
    async with running(worker, feed):
        await feed.begin()
        worker.commit(0)
        await notes.until(("0", 9))
        worker.probe.hold("tail.link_failed")
        await wire.break_and_mend()
        await worker.probe.reached("tail.link_failed")
        worker.commit(1, 40)
        worker.probe.release("tail.link_failed")
        told = await notes.until((40, "lost"))

        assert set(told) <= {"down", "up", (40, "lost")}
        worker.commit(41)
        assert await notes.until(("41", 9)) == [("41", 9)]


@pytest.mark.parametrize("drains", [False, True])
async def test_a_worker_that_is_gone_is_missed_unless_it_drained(
    wire: Wire, drains: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed one had committed and not sent nobody knows; its successor is a new one."""
    monkeypatch.setattr(subscriber, "HELLO_S", 0)
    worker, killed, new = (Worker(wire.publisher()) for _ in range(3))
    notes = Notes()
    feed = Feed(wire.feed(Signal.LOGS), notes, SystemClock(), workers=2)
    async with running(worker, feed):
        async with running(killed):
            await feed.begin()
            killed.commit(0)
            await notes.until(("0", 9))
            if drains:
                await killed.publisher.drain(WAIT_S)
        async with running(new):
            await new.wanted(Signal.LOGS)
            assert await feed.begin() == Started(2, 2)
            await feed._begun.wait()  # pyright: ignore[reportPrivateUsage] -- the roll is called
            feed._miss_who_is_gone()  # pyright: ignore[reportPrivateUsage] -- as its timer does
            new.commit(7)
            told = await notes.until(("7", 9))

    assert told == ([] if drains else [(None, "lost")]) + [("7", 9)]


async def test_a_large_message_gets_through(wire: Wire) -> None:
    """Larger than any buffer on the way."""
    worker, notes = Worker(wire.publisher()), Notes()
    feed = Feed(wire.feed(Signal.LOGS), notes, SystemClock(), workers=1)
    big = numbered(0, 200)
    big.rows = [
        tuple("x" * 4_000 if field == str(n) else field for field in row)
        for n, row in enumerate(big.rows)
    ]
    async with running(worker, feed):
        await feed.begin()
        await worker.wanted(Signal.LOGS)
        worker.publisher.offer(Signal.LOGS, [big], 9)
        worker.commit(200)
        told = await notes.until(("200", 9))

    assert [len(each) - 1 for each in told] == [200, 1]


# -- one daemon ----------------------------------------------------------------------------------


async def test_a_worker_without_an_api_builds_nothing(tmp_path: Path) -> None:
    """It never came up, or cannot; the worker finds out at once and does not wait for readers."""
    worker = Worker(LocalPublisherLink(tmp_path / "nobody"))
    async with running(worker):
        await worker.probe.reached("tail.link_failed")
        worker.commit(0)

        assert not worker.publisher.wanted(Signal.LOGS)
        assert worker.publisher.backlog_bytes == 0


async def test_an_api_takes_the_socket_of_one_that_was_killed() -> None:
    """Its file is still there."""
    with tempfile.TemporaryDirectory(prefix="otlpg-test-") as folder:
        path = Path(folder) / "tail"
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(path))
        assert path.exists()
        over = OverSocket(path)
        worker = Worker(over.publisher())
        feed = Feed(over.feed(Signal.LOGS), Notes(), SystemClock())
        async with running(worker, feed):
            await worker.wanted(Signal.LOGS)
        await over.stop()


async def test_a_stranger_on_the_socket_is_no_worker() -> None:
    """Nobody waits for its greeting, and no reader is told that a worker is missing."""
    with tempfile.TemporaryDirectory(prefix="otlpg-test-") as folder:
        over = OverSocket(Path(folder) / "tail")
        worker, notes = Worker(over.publisher()), Notes()
        feed = Feed(over.feed(Signal.LOGS), notes, SystemClock(), workers=1)
        async with running(worker):
            await worker.wanted(Signal.LOGS, wanted=False)
            lines, stranger = await asyncio.open_unix_connection(over.path)
            await lines.readuntil()
            async with running(feed):
                started = await feed.begin()
            stranger.close()
        await over.stop()

    assert started == Started(1, 1)


# -- Redis ---------------------------------------------------------------------------------------


async def test_who_is_cancelled_while_it_asks_ends(redis: RedisServer) -> None:
    """redis-py swallows the cancellation when it has just begun to connect."""
    over = OverRedis(redis)
    before = asyncio.all_tasks()
    for turns in range(25):
        worker = Worker(over.publisher())
        feed = Feed(over.feed(Signal.LOGS), Notes(), SystemClock())
        async with running(worker, feed):
            for _ in range(turns):
                await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


async def test_a_prefix_parts_those_who_share_a_redis(redis: RedisServer) -> None:
    """A publisher with another one is not heard, nor asked."""
    ours, theirs = OverRedis(redis), OverRedis(redis)
    stranger, worker, notes = Worker(theirs.publisher()), Worker(ours.publisher()), Notes()
    feed = Feed(ours.feed(Signal.LOGS), notes, SystemClock())
    async with running(stranger, worker, feed):
        started = await feed.begin()
        await stranger.wanted(Signal.LOGS, wanted=False)
        stranger.commit(1)
        worker.commit(2)
        told = await notes.until(("2", 9))

    assert started == Started(1, 1)
    assert told == [("2", 9)]


async def test_anybody_may_publish_anything(redis: RedisServer) -> None:
    """It is counted as lost, and the tail goes on."""
    over = OverRedis(redis)
    worker, notes = Worker(over.publisher()), Notes()
    feed = Feed(over.feed(Signal.LOGS), notes, SystemClock())
    async with running(worker, feed):
        await feed.begin()
        with redis.client() as client:
            for said in (b"hello", b"\xff", b'[1,"logs",0,0,0,0,{}]'):
                client.publish(channel(over.settings.channel_prefix, Signal.LOGS), said)
            client.publish(f"{over.settings.channel_prefix}:tail:hello", b"\xff no signal")
        worker.commit(0)
        told = await notes.until(("0", 9))

    assert told.count((None, "lost")) == 3


async def test_a_redis_that_answers_nonsense_is_away() -> None:
    """Another protocol, or a broken proxy: the worker tries again, and does not end."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = RedisSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"))
        worker, notes = Worker(RedisPublisherLink(settings)), Notes()
        feed = Feed(RedisSubscriberLink(settings, Signal.LOGS), notes, SystemClock())
        async with running(worker, feed):
            await worker.probe.reached("tail.link_failed", 2)
            await notes.until("down")
            worker.commit(0)

    assert worker.publisher.backlog_bytes == 0


async def test_a_hung_redis_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both ends notice though nothing is committed, and find each other when it goes on."""
    monkeypatch.setattr(redis_link, "PING_S", 0.2)
    monkeypatch.setattr(redis_link, "ASK_S", 0.1)
    with redis_server() as server:
        over = OverRedis(server)
        worker, notes = Worker(over.publisher()), Notes()
        feed = Feed(over.feed(Signal.LOGS), notes, SystemClock())
        async with running(worker, feed):
            await feed.begin()
            server.freeze()
            await worker.probe.reached("tail.link_failed")
            await notes.until("down")
            worker.commit(0, 10)
            assert worker.publisher.backlog_bytes == 0
            server.thaw()
            told = await notes.until((10, "lost"))
            worker.commit(10)
            await notes.until(("10", 9))

    assert told == ["up", (10, "lost")]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("", "refuses the user or password"),
        ("default:wrong", "refuses the user or password"),
        ("default:right", ""),
        ("reader:right", "does not let the user"),
    ],
)
async def test_what_redis_refuses_is_told_as_that(user: str, words: str) -> None:
    """An operator who reads "does not answer" would look at the network."""
    with redis_server() as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "reader", "on", ">right", "+ping")
            client.config_set("requirepass", "right")
        url = server.url.replace("//", f"//{user}@" if user else "//")
        link = RedisPublisherLink(RedisSettings(url=SecretStr(url)))

        refused = ""
        try:
            async with link.connected():
                pass
        except LinkError as error:
            refused = str(error)

    assert words in refused
    assert bool(words) == bool(refused)
