"""Live tails of real daemons: what is committed is seen, once, and ingest does not notice."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.operate import tokens
from collector.receive.token import Scope
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.certificates import ServerFiles
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, export_spans, grpc_exporter, numbered_logs
from tests.e2e.tailing import Tail, tailing
from tests.fault.broken import changed_by
from tests.redis_server import RedisServer
from tests.unit.convert.converting import logs_of, metrics_of

WITH_API: dict[str, Any] = {"OTLPG_API__ENABLED": "true"}


def send(daemon: Daemon, numbers: Iterable[int]) -> None:
    """Send each number in a request, and on a connection, of its own."""
    for number in numbers:
        with Caller(daemon.grpc_port) as caller:
            assert caller.send(Signal.LOGS, numbered_logs([number])) == b""


async def wait_until_linked(*daemons: Daemon, workers: int = 1) -> None:
    """Return when every worker can publish."""
    for daemon in daemons:
        await daemon.until_metric("otlpg_tail_link_up", workers)


def bulky() -> bytes:
    """Return a request of 600 kB in two hundred records."""
    value = AnyValue(string_value="x" * 3_000)
    return logs_of(
        *[LogRecord(time_unix_nano=time.time_ns(), body=value) for _ in range(200)]
    ).SerializeToString()


async def live(tail: Tail, workers: int) -> None:
    """Return when the tail is live, and every worker publishes for it."""
    assert tail.status == 200, tail.headers
    data = (await tail.until("live")).data
    assert (data["workers"], data["expected"]) == (workers, workers)


@pytest.mark.parametrize("workers", [1, 3])
async def test_what_is_committed_is_seen_once_without_redis(
    database_settings: DatabaseSettings, workers: int
) -> None:
    """Whichever worker committed it."""
    with Daemon(database_settings, workers=workers, **WITH_API) as daemon:
        await wait_until_linked(daemon, workers=workers)
        await asyncio.to_thread(send, daemon, range(1_000, 1_005))  # nobody listens
        async with tailing(daemon.api_port) as tail:
            await live(tail, workers)
            await asyncio.to_thread(send, daemon, range(30))
            bodies = await tail.bodies(30)
            await asyncio.to_thread(send, daemon, [99])

            assert await tail.bodies(1) == ["99"]
        assert sorted(map(int, bodies)) == list(range(30))
        assert {event.kind for event in tail.seen} == {"live", "item"}
        assert daemon.metric("otlpg_tail_published_total", signal="logs") == 31


async def test_two_daemons_that_share_a_redis_share_their_tails(
    database_settings: DatabaseSettings, redis: RedisServer
) -> None:
    """An item sent to either is seen at both, once."""
    shared: dict[str, Any] = {
        **WITH_API,
        "REDIS_URL": redis.url,
        "OTLPG_REDIS__CHANNEL_PREFIX": "e2e-two",
    }
    with Daemon(database_settings, **shared) as one, Daemon(database_settings, **shared) as two:
        await wait_until_linked(one, two)
        async with tailing(one.api_port) as at_one, tailing(two.api_port) as at_two:
            for tail in (at_one, at_two):
                await live(tail, 2)
            await asyncio.to_thread(send, one, range(10))
            await asyncio.to_thread(send, two, range(10, 20))

            for tail in (at_one, at_two):
                assert sorted(map(int, await tail.bodies(20))) == list(range(20))
            await asyncio.to_thread(send, two, [99])
            for tail in (at_one, at_two):
                assert await tail.bodies(1) == ["99"]
                assert {event.kind for event in tail.seen} == {"live", "item"}


async def test_the_head_does_not_wait_for_stored_items(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A client knows at once that somebody is there; what is stored comes when PostgreSQL gives it."""
    with Daemon(database_settings, **WITH_API) as daemon:
        await asyncio.to_thread(send, daemon, [1])
        holding = connection.transaction()
        await holding.start()
        await connection.execute("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
        async with tailing(daemon.api_port, "signal=logs&n=1") as tail:
            await holding.commit()
            assert (await tail.event()).data["body"] == "1"


async def test_each_signal_and_the_filter(database_settings: DatabaseSettings) -> None:
    """A span, a point and a record; a reader sees those that it asked for."""
    points = metrics_of()
    metric = points.resource_metrics[0].scope_metrics[0].metrics.add(name="load")
    metric.gauge.data_points.add(as_double=1.5, time_unix_nano=1)
    with Daemon(database_settings, **WITH_API) as daemon:
        await wait_until_linked(daemon)
        async with (
            tailing(daemon.api_port, "signal=all") as every,
            tailing(daemon.api_port, "signal=traces,logs&q=name:GET*") as spans,
        ):
            await live(every, 1)
            await live(spans, 1)
            exporter = grpc_exporter(
                Signal.TRACES, daemon.grpc_port, grpc.Compression.NoCompression
            )
            await asyncio.to_thread(send, daemon, [1])
            await asyncio.to_thread(export_spans, exporter, ["PUT /", "GET /"])
            with Caller(daemon.grpc_port) as caller:
                sent = points.SerializeToString()
                assert await asyncio.to_thread(caller.send, Signal.METRICS, sent) == b""

            signals = [(await every.until("item")).data["signal"] for _ in range(4)]
            first = (await spans.until("item")).data

    assert signals == ["logs", "traces", "traces", "metrics"]
    assert first["name"] == "GET /"
    assert first["attributes"] == {"e2e.name": "GET /"}


async def test_who_comes_back_goes_on(database_settings: DatabaseSettings) -> None:
    """By the id of the last event."""
    with Daemon(database_settings, **WITH_API) as daemon:
        await wait_until_linked(daemon)
        async with tailing(daemon.api_port) as tail:
            await live(tail, 1)
            await asyncio.to_thread(send, daemon, range(3))
            last = await tail.until("item", body="1")
        await asyncio.to_thread(send, daemon, [3])
        assert last.id is not None
        async with tailing(daemon.api_port, headers={"last-event-id": last.id}) as again:
            await asyncio.to_thread(send, daemon, [4])

            assert await again.bodies(3) == ["2", "3", "4"]
            assert {event.kind for event in again.seen} == {"live", "item"}


async def test_a_wrong_request_is_told_in_json(database_settings: DatabaseSettings) -> None:
    """As a problem document, with the parameter's name."""
    with Daemon(database_settings, await_store=False, **WITH_API) as daemon:
        for query in ("signal=spans", "q=colour:red", "n=1001", "since=x", "follow=1"):
            async with tailing(daemon.api_port, query) as tail:
                said = await tail.body()

            assert (query, tail.status, said["code"]) == (query, 400, 3)
            assert tail.headers["content-type"] == "application/problem+json"
            assert said["detail"]


async def wait_until_open(daemon: Daemon, tails: int) -> None:
    """Return when the daemon counts so many open tails."""
    await daemon.until_metric("otlpg_tail_readers", tails)


async def test_too_many_readers_may_come_again(database_settings: DatabaseSettings) -> None:
    """503 with Retry-After; when one leaves, another may come."""
    with Daemon(database_settings, OTLPG_TAIL__READERS_MAX="2", **WITH_API) as daemon:
        await wait_until_linked(daemon)
        async with tailing(daemon.api_port) as one:
            await live(one, 1)
            async with tailing(daemon.api_port) as two:
                await live(two, 1)
                async with tailing(daemon.api_port) as three:
                    said = await three.body()
                await wait_until_open(daemon, 2)
            await wait_until_open(daemon, 1)
            async with tailing(daemon.api_port) as four:
                await live(four, 1)

    assert three.status == 503
    assert three.headers["retry-after"] == "2"
    assert "2 live tails" in said["detail"]


async def test_keys_and_unknown_routes(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Only who may read gets in; what is no route says nothing to anybody."""
    keys = {
        scope: (await tokens.create(connection, name=scope, scopes=[scope], expires_s=None))[0].text
        for scope in Scope
    }
    expected = {Scope.INGEST: 403, Scope.QUERY: 200, Scope.ADMIN: 200}
    with Daemon(database_settings, OTLPG_AUTH__KEYS="true", **WITH_API) as daemon:
        for scope, status in expected.items():
            async with tailing(daemon.api_port, headers={"x-api-key": keys[scope]}) as tail:
                assert (scope, tail.status) == (scope, status)
        async with tailing(daemon.api_port) as nobody:
            assert nobody.status == 401
            assert nobody.headers["www-authenticate"] == "bearer"
            assert (await nobody.body())["code"] == 16
        for method, path, status in (
            ("GET", "/", 404),
            ("GET", "/api/v1/tail/", 404),
            ("GET", "/api/v1", 404),
            ("GET", "/metrics", 404),
            ("POST", "/api/v1/tail", 405),
            ("HEAD", "/api/v1/tail", 200),
        ):
            async with tailing(daemon.api_port, path=path, method=method) as other:
                assert (method, path, other.status) == (method, path, 401)
            key = {"x-api-key": keys[Scope.QUERY]}
            async with tailing(daemon.api_port, path=path, method=method, headers=key) as other:
                assert (method, path, other.status) == (method, path, status)


async def test_head_opens_no_tail(database_settings: DatabaseSettings) -> None:
    """It has the headers of one, and takes nobody's place."""
    with Daemon(database_settings, OTLPG_TAIL__READERS_MAX="1", **WITH_API) as daemon:
        async with (
            tailing(daemon.api_port, method="HEAD") as head,
            tailing(daemon.api_port) as tail,
        ):
            await tail.until("live")

    assert head.status == tail.status == 200
    assert head.headers["content-type"] == tail.headers["content-type"]


async def test_over_tls(database_settings: DatabaseSettings, tmp_path: Path) -> None:
    """With the daemon's certificate; in clear there is no conversation."""
    files = ServerFiles.make(tmp_path)
    context = ssl.create_default_context(cadata=files.authority.pem.decode())
    with Daemon(database_settings, **files.environment, **WITH_API) as daemon:
        await wait_until_linked(daemon)
        async with tailing(daemon.api_port, context=context) as tail:
            await live(tail, 1)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            async with tailing(daemon.api_port):
                pass


async def test_the_end_of_the_api_is_not_the_end_of_ingest(
    database_settings: DatabaseSettings,
) -> None:
    """Killed: ready as before, requests are served, it is started again and readers come back."""
    with Daemon(database_settings, **WITH_API) as daemon:
        await wait_until_linked(daemon)
        async with tailing(daemon.api_port) as tail:
            await tail.until("live")
            last = await tail.until_here()
            daemon.api().kill()
            await asyncio.to_thread(daemon.wait_for_log, "API died", status=-9)
            assert daemon.get("/health/ready")[0] == 200
            await asyncio.to_thread(send, daemon, range(5))
            with pytest.raises((EOFError, ConnectionError)):
                await tail.until("item", body="nothing of it comes")
        await daemon.until_metric("otlpg_api_restarts_total", 1)
        await wait_until_linked(daemon)
        async with tailing(daemon.api_port, headers={"last-event-id": last}) as again:
            await live(again, 1)
            lost = {"signal": "all", "items": None, "why": "lost"}
            assert (await again.until("skipped")).data == lost
            await asyncio.to_thread(send, daemon, [7])
            assert await again.bodies(1) == ["7"]
        assert daemon.items("logs")["refused"] == 0
        assert daemon.metric("otlpg_worker_restarts_total") == 0


async def test_a_hung_api_is_left_alone_until_it_goes_on(
    database_settings: DatabaseSettings,
) -> None:
    """Ingest does not wait for it; then the reader is told how many went by."""
    with Daemon(database_settings, **WITH_API) as daemon:
        await wait_until_linked(daemon)
        async with tailing(daemon.api_port) as tail:
            await live(tail, 1)
            api = daemon.api()
            api.suspend()
            try:
                with Caller(daemon.grpc_port) as caller:
                    while await asyncio.to_thread(daemon.metric, "otlpg_tail_link_up"):
                        heard = await asyncio.to_thread(caller.send, Signal.LOGS, bulky())
                        assert heard == b""
            finally:
                api.resume()
            await wait_until_linked(daemon)
            stored = daemon.items("logs")["stored"]
            await asyncio.to_thread(send, daemon, [123])
            await tail.until("item", body="123")
            seen = sum(event.kind == "item" for event in tail.seen)
            told = sum(tail.skipped(why) for why in ("lost", "sampled", "slow"))

    assert seen + told == stored + 1
    assert tail.skipped("lost") > 0


async def test_a_drained_daemon_ends_its_tails(database_settings: DatabaseSettings) -> None:
    """In order, so that a client comes back at once."""
    with Daemon(database_settings, **WITH_API) as daemon:
        await wait_until_linked(daemon)
        async with tailing(daemon.api_port) as tail:
            await live(tail, 1)
            daemon.signal(signal.SIGTERM)
            with pytest.raises(EOFError):
                await tail.until("item", body="nothing")
        assert await asyncio.to_thread(daemon.wait) == 0


async def test_a_drained_daemon_leaves_readers_that_take_nothing(
    database_settings: DatabaseSettings,
) -> None:
    """Their connections are cut, soon, and it is nobody's fault."""
    with Daemon(database_settings, **WITH_API) as daemon:
        await wait_until_linked(daemon)
        async with tailing(daemon.api_port) as tail:
            await live(tail, 1)
            with Caller(daemon.grpc_port) as caller:
                while not await asyncio.to_thread(
                    daemon.metric, "otlpg_tail_skipped_total", cause="slow"
                ):
                    heard = await asyncio.to_thread(caller.send, Signal.LOGS, bulky())
                    assert heard == b""
            assert await asyncio.to_thread(daemon.stop) == 0
        assert not [line for line in daemon.log() if line.get("level") == "error"]


async def test_a_port_that_is_taken_is_named(database_settings: DatabaseSettings) -> None:
    """The daemon does not start, as with its other ports."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        daemon = Daemon(database_settings, OTLPG_API__PORT=port, **WITH_API)
        try:
            with pytest.raises(AssertionError, match="no 'listening'"):
                await asyncio.to_thread(daemon.start)
            code = await asyncio.to_thread(daemon.wait)
        finally:
            await asyncio.to_thread(daemon.kill)

    assert code == 4
    assert "api.port" in daemon.log_text()


async def test_an_api_that_cannot_start_does_not_stop_the_daemon(
    database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    """No place for a socket, since the folder's name is too long: the daemon, and its API, start."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with Daemon(database_settings, TMPDIR=str(folder), **WITH_API) as daemon:
        await asyncio.to_thread(send, daemon, [1])
        warned = daemon.wait_for_log("no live tails without Redis")
        async with tailing(daemon.api_port) as tail:
            said = (await tail.until("live")).data
            link = (await tail.until("link")).data
        assert daemon.items("logs")["stored"] == 1
        assert daemon.metric("otlpg_api_restarts_total") == 0

    assert said == {"workers": None, "expected": None, "link": "local"}
    assert warned["setting"] == "redis.url"
    assert link["up"] is False
    assert "redis.url" in link["message"]


async def test_a_machine_without_a_folder_for_temporary_files(
    database_settings: DatabaseSettings,
) -> None:
    """The same where none can be made at all."""
    with Daemon(database_settings, **changed_by("no_folder"), **WITH_API) as daemon:
        await asyncio.to_thread(send, daemon, [1])
        daemon.wait_for_log("no live tails without Redis")
        async with tailing(daemon.api_port) as tail:
            assert (await tail.until("link")).data["up"] is False

        assert daemon.items("logs")["stored"] == 1


async def test_a_revoked_key_reads_on_for_seconds_only(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The stream says why it ends; what came since is not shown."""
    token, _ = await tokens.create(connection, name="x", scopes=[Scope.QUERY], expires_s=None)
    ingest, _ = await tokens.create(connection, name="y", scopes=[Scope.INGEST], expires_s=None)
    settings: dict[str, Any] = {
        "OTLPG_AUTH__KEYS": "true",
        "OTLPG_AUTH__REFRESH_S": "1s",
        **WITH_API,
    }
    with (
        Daemon(database_settings, **settings) as daemon,
        Caller(daemon.grpc_port) as caller,
    ):
        async with tailing(daemon.api_port, headers={"x-api-key": token.text}) as tail:
            await tail.until("live")
            await tokens.revoke(connection, token.text)
            key = [("x-api-key", ingest.text)]

            async def send_on() -> None:
                for number in itertools.count():
                    body = numbered_logs([number])
                    heard = await asyncio.to_thread(caller.send, Signal.LOGS, body, metadata=key)
                    assert heard == b""

            sending = asyncio.create_task(send_on())
            notice = await tail.until("notice")
            sending.cancel()
            await asyncio.wait((sending,))
            with pytest.raises(EOFError):
                await tail.event()

    assert notice.data == {"message": "this key may not read any more"}


async def test_a_page_of_another_site_reads_nothing(database_settings: DatabaseSettings) -> None:
    """Without keys neither its own name that leads to loopback nor a plain request of it gets in."""
    with Daemon(database_settings, **WITH_API) as daemon:
        for headers in ({"origin": "https://evil.example"}, {"origin": "null"}):
            async with tailing(daemon.api_port, headers=headers) as tail:
                assert tail.status == 403
        async with tailing(daemon.api_port, host="evil.example:8003") as tail:
            assert tail.status == 403
        for host in ("localhost", "127.0.0.1:8003", "[::1]:8003"):
            async with tailing(daemon.api_port, host=host) as tail:
                assert tail.status == 200
