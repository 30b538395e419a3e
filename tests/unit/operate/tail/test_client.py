"""operate.tail.client and connection: beside a real server, which breaks what it can."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, Response

from collector.errors import (
    ForbiddenError,
    OtlpgError,
    SettingsError,
    UnauthenticatedError,
    UnreachableError,
    UsageError,
)
from collector.operate.tail.client import ASKED_S_MAX, PAUSE_S_MAX, Client, Pause
from collector.operate.tail.connection import Server
from collector.operate.tail.news import Back, Connected, Item, Live, Lost, News, Skipped, Waiting
from collector.operate.tail.query import Query
from collector.operate.tail.sse import EVENT_BYTES_MAX
from tests.certificates import Authority, ServerFiles
from tests.tail_server import Asked, TailServer

LIVE = Live(1, 1, "local")


class Following:
    """The news of one client, as they come."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self._more = asyncio.Event()

    def tell(self, news: News) -> None:
        """Take news."""
        self.news.append(news)
        self._more.set()

    async def until(self, holds: Callable[[list[News]], bool]) -> list[News]:
        """Return the news once it holds of them."""
        async with asyncio.timeout(20):
            while not holds(self.news):
                self._more.clear()
                await self._more.wait()
        return self.news


@asynccontextmanager
async def following(
    server: TailServer,
    query: Query | None = None,
    *,
    silence_s_max: float = 20.0,
    missed_s_max: float = 20.0,
) -> AsyncGenerator[Following]:
    """Follow a server for a while."""
    heard = Following()
    client = Client(
        Server.from_environment(server.url, {}),
        query or Query("logs", "", 10),
        heard.tell,
        random=Random(1),
        silence_s_max=silence_s_max,
        missed_s_max=missed_s_max,
    )
    task = asyncio.ensure_future(client.follow())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def server() -> Generator[TailServer]:
    """A server that speaks the contract."""
    with TailServer() as running:
        yield running


async def asked(server: TailServer, number: int = 1) -> Asked:
    """Return a request once it came."""
    return await asyncio.to_thread(server.wait_for_request, number)


def item(number: int) -> dict[str, Any]:
    """Return a log."""
    return {"signal": "logs", "body": f"number {number}"}


# -- going on --------------------------------------------------------------------------------------


async def test_items_come_as_they_are_said(server: TailServer) -> None:
    """Stored ones, then live; asked for as the contract says."""
    async with following(server, Query("logs", "a b", 10, "5m")) as heard:
        request = await asked(server)
        server.item(item(1), id="1")
        server.live()
        server.say(": heartbeat\n\n")
        server.event("of a later version", {"x": 1})
        server.item(item(2), id="2")

        news = await heard.until(lambda news: len(news) == 3)

    assert news == [Item(item(1)), LIVE, Item(item(2))]
    assert request.parameters == {
        "path": "/api/v1/tail", "signal": "logs", "q": "a b", "n": "10", "since": "5m",
    }  # fmt: skip
    assert request.headers["accept"] == "text/event-stream"
    assert "last-event-id" not in request.headers
    assert "x-api-key" not in request.headers


@pytest.mark.parametrize("live_first", [True, False], ids=["live first", "live last"])
@pytest.mark.parametrize(
    ("lost", "missed"),
    [([], 0), ([34], 34), ([34, 1], 35), ([34, None, 1], None)],
    ids=["nothing", "34", "two signals", "unknown"],
)
async def test_a_lost_connection_is_resumed_behind_the_last_id(
    lost: list[int | None], missed: int | None, live_first: bool, server: TailServer
) -> None:
    """What the server has not kept is told once, before what follows it."""
    async with following(server) as heard:
        await asked(server)
        server.item(item(1), id="7-1")
        await heard.until(lambda news: len(news) == 1)
        server.drop()
        request = await asked(server, 2)
        if live_first:
            server.live()
        for items in lost:
            server.event("skipped", {"signal": "logs", "items": items, "why": "lost"}, id="7-9")
        server.item(item(2), id="7-10")
        if not live_first:
            server.live()

        news = await heard.until(lambda news: len(news) == 5)

    assert request.headers["last-event-id"] == "7-1"
    assert request.parameters == {"path": "/api/v1/tail", "signal": "logs"}
    assert news[1] == Lost("the server ended the connection")
    assert [one for one in news[2:] if one != LIVE] == [Back(missed), Item(item(2))]


async def test_back_is_said_though_nothing_new_comes(server: TailServer) -> None:
    """Once the server would have said what was missed."""
    async with following(server, missed_s_max=0.1) as heard:
        await asked(server)
        server.item(item(1), id="1")
        await heard.until(lambda news: len(news) == 1)
        server.drop()
        await asked(server, 2)
        server.say(
            'event: live\ndata: {"workers": 1, "expected": 1, "link": "local"}\n\n'
            'event: skipped\ndata: {"signal": "all", "items": null, "why": "lost"}\n\n'
        )
        await heard.until(lambda news: len(news) == 4)
        server.item(item(2))

        news = await heard.until(lambda news: len(news) == 5)

    assert news[2:] == [LIVE, Back(None), Item(item(2))]


async def test_without_an_id_nothing_stored_is_asked_for_twice(server: TailServer) -> None:
    """What came in between is then unknown, and said to be."""
    async with following(server, missed_s_max=0.1) as heard:
        await asked(server)
        server.item(item(1))
        await heard.until(lambda news: len(news) == 1)
        server.drop()
        request = await asked(server, 2)
        server.live()

        news = await heard.until(lambda news: len(news) == 4)

    assert "n" not in request.parameters
    assert "last-event-id" not in request.headers
    assert news[2:] == [LIVE, Back(None)]


async def test_a_connection_that_told_nothing_is_made_as_before(server: TailServer) -> None:
    """Nothing was shown, so nothing is missed, and stored items are still to come."""
    async with following(server, missed_s_max=0.1) as heard:
        await asked(server)
        server.drop()
        request = await asked(server, 2)
        server.live()

        news = await heard.until(lambda news: len(news) == 3)

    assert request.parameters["n"] == "10"
    assert news[1:] == [LIVE, Back(0)]


async def test_a_server_that_is_away_is_asked_until_it_is_back(server: TailServer) -> None:
    """One word when it goes, one when it is back; a refusal in between is no end."""
    async with following(server, missed_s_max=0.1) as heard:
        await asked(server)
        server.item(item(1), id="1")
        await heard.until(lambda news: len(news) == 1)
        await asyncio.to_thread(server.stop)
        await heard.until(lambda news: len(news) == 2)
        server.refuse_with(503, "too many tails", **{"retry-after": "0"})
        await asyncio.to_thread(server.start)
        await asked(server, 3)
        refused = server.answer_with(None)
        await asked(server, refused + 1)
        server.live()

        news = await heard.until(lambda news: len(news) == 4)

    assert [type(one) for one in news] == [Item, Lost, Live, Back]


async def test_skipped_while_connected_is_told_as_it_is(server: TailServer) -> None:
    """Also what was lost between worker and API."""
    async with following(server) as heard:
        await asked(server)
        server.event("skipped", {"signal": "logs", "items": 3, "why": "lost"})

        news = await heard.until(lambda news: len(news) == 1)

    assert news == [Skipped("logs", 3, "lost")]


async def test_a_silent_server_is_left(server: TailServer) -> None:
    """A heartbeat would have come; a connection through a dead network never ends by itself."""
    async with following(server, silence_s_max=0.2) as heard:
        await asked(server)
        server.item(item(1), id="1")

        news = await heard.until(lambda news: Lost in map(type, news))

    assert news[-1] == Lost("nothing heard for 0.2 s")


async def test_a_line_without_end_ends_the_connection(server: TailServer) -> None:
    """What came before it was told."""
    async with following(server) as heard:
        await asked(server)
        server.item(item(1), id="1")
        server.say(b"data: " + b"x" * (EVENT_BYTES_MAX + 1))

        news = await heard.until(lambda news: len(news) == 2)
        request = await asked(server, 2)

    assert news == [Item(item(1)), Lost(f"an event is longer than {EVENT_BYTES_MAX:,} bytes")]
    assert request.headers["last-event-id"] == "1"


@pytest.mark.parametrize("wrong", ["a\tb", "é", "a" * 2_000, "\x01"])
async def test_an_id_that_no_header_can_hold_is_not_sent(wrong: str, server: TailServer) -> None:
    """Nor an older one in its place, which would repeat items."""
    async with following(server) as heard:
        await asked(server)
        server.item(item(1), id="1")
        server.item(item(2), id=wrong)
        await heard.until(lambda news: len(news) == 2)
        server.drop()
        request = await asked(server, 2)

    assert "last-event-id" not in request.headers


async def test_a_failure_to_show_is_no_loss_of_the_server(server: TailServer) -> None:
    """A closed pipe is an OSError too, and not one of the network."""

    def tell(_: News) -> None:
        raise BrokenPipeError

    client = Client(Server.from_environment(server.url, {}), Query(), tell)
    task = asyncio.ensure_future(client.follow())
    await asked(server)
    server.live()

    with pytest.raises(BrokenPipeError):
        await asyncio.wait_for(task, 20)


# -- the first connection --------------------------------------------------------------------------


async def first(server: TailServer, key: str = "") -> OtlpgError:
    """Return why the first connection ends the tail."""
    with pytest.raises(OtlpgError) as caught:
        await Client(
            Server.from_environment(server.url, {"OTLPG_API_KEY": key}), Query(), lambda _: None
        ).follow()
    return caught.value


@pytest.mark.parametrize(
    ("status", "key", "kind", "text"),
    [
        (400, "", UsageError, "position 3: expected a term on two lines"),
        (401, "", UnauthenticatedError, "put one of scope query into OTLPG_API_KEY"),
        (401, "secret", UnauthenticatedError, "does not know the key"),
        (403, "secret", ForbiddenError, "needs scope query"),
        (403, "", ForbiddenError, "certificate or key"),
        (404, "", UnreachableError, "it answers 404"),
        (503, "", UnreachableError, "it answers 503: position 3"),
        (307, "", UnreachableError, "it answers 307"),
    ],
)
async def test_a_refusal_says_what_to_do(
    status: int, key: str, kind: type[OtlpgError], text: str, server: TailServer
) -> None:
    """The server's words on one line, and the key never."""
    server.refuse_with(status, "position 3: expected a term\non two   lines")

    error = await first(server, key)

    assert type(error) is kind
    assert text in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "response",
    [
        PlainTextResponse("<html>"),
        Response(
            "data: a\n\n", media_type="text/event-stream", headers={"content-encoding": "gzip"}
        ),
    ],
    ids=["page", "gzip"],
)
async def test_what_is_no_event_stream_is_no_tail(response: Response, server: TailServer) -> None:
    """Somebody else's server at this address."""
    server.answer_with(response)

    assert "not as otlpg's API does" in str(await first(server))


async def test_the_key_is_sent_as_a_header(server: TailServer) -> None:
    """Without the line feed of a file that it was read from."""
    server.refuse_with(403)

    await first(server, "secret\n")

    assert server.wait_for_request().headers["x-api-key"] == "secret"


async def test_a_server_that_is_no_http_is_said_to_be_none() -> None:
    """Such as a mail server."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(shout, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = Client(
            Server.from_environment(f"http://127.0.0.1:{port}", {}), Query(), lambda _: None
        )
        with pytest.raises(UnreachableError, match="no HTTP"):
            await client.follow()


async def test_a_server_that_never_comes_to_the_point_is_tried_again() -> None:
    """It is never silent, and never answers; its reader is told so, once, and when that ends."""
    connections = asyncio.Semaphore(0)
    is_stalled = True

    async def stall(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.release()
        with contextlib.suppress(ConnectionError):
            while is_stalled:
                writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(stall, "127.0.0.1", 0) as listening:
        heard = Following()
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        client = Client(Server.from_environment(url, {}), Query(), heard.tell, head_s_max=0.2)
        task = asyncio.ensure_future(client.follow())
        async with asyncio.timeout(20):
            for _ in range(2):
                await connections.acquire()
            is_stalled = False
            news = await heard.until(lambda news: Connected() in news)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert news[:2] == [Waiting("no answer within 0.2 s"), Connected()]


async def test_who_is_killed_has_broken_off() -> None:
    """In the middle of its answer; that it speaks HTTP is known."""

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    heard = Following()
    async with await asyncio.start_server(begin, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        task = asyncio.ensure_future(
            Client(Server.from_environment(url, {}), Query(), heard.tell).follow()
        )
        news = await heard.until(lambda news: bool(news))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert news[0] == Lost("the connection broke off")


@pytest.mark.parametrize(
    ("scheme", "text"),
    [("https", "TLS: it does not speak it; http:// may be meant"), ("http", "https://")],
)
async def test_the_wrong_scheme_is_guessed(scheme: str, text: str, tmp_path: Path) -> None:
    """TLS where there is none, and none where there is."""
    with TailServer(ServerFiles.make(tmp_path) if scheme == "http" else None) as server:
        url = f"{scheme}://{server.url.partition('://')[2]}"
        client = Client(Server.from_environment(url, {}), Query(), lambda _: None)

        with pytest.raises(UnreachableError, match=text):
            await client.follow()


async def test_tls_is_checked(tmp_path: Path) -> None:
    """With the CA it is read; with the system's nobody is believed."""
    files = ServerFiles.make(tmp_path)
    other = Authority("another").write(tmp_path, "other")
    with TailServer(files) as server:
        heard = Following()
        trusting = Server.from_environment(server.url, {}, files.ca)
        task = asyncio.ensure_future(Client(trusting, Query(), heard.tell).follow())
        await asked(server)
        server.live()
        await heard.until(lambda news: news == [LIVE])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        doubting = Server.from_environment(server.url, {}, other)
        with pytest.raises(UnreachableError, match="TLS: unable to get local issuer"):
            await Client(doubting, Query(), heard.tell).follow()


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "ftp://h", "http://", "http://h:99999", "http://h:x", "http://u:p@h",
     "http://h/?a=b", "http://h/#a", "http://h/a b", "http://h/\r\nx: y", "http://é", "http://[",
     "http://h:0", "http://a..b", f"http://{'a' * 64}"],
)  # fmt: skip
def test_a_wrong_address_is_refused(url: str) -> None:
    """Before anything is sent anywhere."""
    with pytest.raises(SettingsError, match="no address of an API"):
        Server.from_environment(url, {})


@pytest.mark.parametrize("key", ["a\r\nb", "ä", "a\0"])
def test_a_key_that_cannot_be_sent_is_refused(key: str) -> None:
    """And not shown."""
    with pytest.raises(SettingsError) as caught:
        Server.from_environment("http://h", {"OTLPG_API_KEY": key})

    assert key not in str(caught.value)


def test_a_path_before_the_api_is_kept() -> None:
    """Where a proxy serves it under one; ports as their scheme has them."""
    server = Server.from_environment("http://h/otlpg/", {})

    assert (server.prefix, server.port, server.authority) == ("/otlpg", 80, "h")
    assert Server.from_environment("http://[::1]:8003", {}).host == "::1"


# -- pauses ----------------------------------------------------------------------------------------


def test_pauses_grow_up_to_a_bound_and_begin_anew() -> None:
    """With jitter, so that many tails do not come at once; a server's wish counts up to a minute."""
    pause = Pause(Random(1))

    first_pauses = [pause.next_s(None) for _ in range(40)]

    assert 0.25 <= first_pauses[0] <= 0.5
    assert all(b <= PAUSE_S_MAX for b in first_pauses)
    assert all(b >= PAUSE_S_MAX / 2 for b in first_pauses[6:])
    assert len(set(first_pauses)) == 40
    assert pause.next_s(30) == 30
    assert pause.next_s(1e9) == ASKED_S_MAX
    pause.reset()
    assert pause.next_s(None) <= 0.5
