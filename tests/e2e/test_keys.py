"""API keys on every route of every listener: who comes in, who does not, and what it costs us."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2
from opentelemetry.exporter.otlp.proto import http
from starlette.routing import Route

from collector.api.jaeger.storage_calls import StorageCalls
from collector.api.jaeger.stored import StoredSpans
from collector.api_app import ApiDaemon
from collector.operate import tokens
from collector.receive import grpc_service
from collector.receive.auth import Gate
from collector.receive.export import Export
from collector.receive.http_service import OtlpHttpService
from collector.receive.token import Scope, Token
from collector.receive.turns import Turns
from collector.rows import Signal
from collector.settings import DatabaseSettings, ReceiveSettings, Settings, TlsSettings
from collector.store.embedded import EmbeddedPostgres
from collector.store.pool import Connection, connect
from collector.telemetry.clock import SystemClock
from collector.telemetry.health import build_app
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe
from tests.e2e.daemon import Daemon
from tests.e2e.senders import METHODS, export_spans, grpc_exporter, http_exporter, numbered_logs

KEYS_ON: dict[str, Any] = {"OTLPG_AUTH__KEYS": "true", "OTLPG_AUTH__REFRESH_S": "1"}
ORIGIN = "https://shop.example.com"

INGEST, READ, OPEN = "ingest", "read", "open"
API = (
    "/api/v1/tail",
    "/api/v1/services",
    "/api/v1/services/{service:path}/operations",
    "/api/v1/services/{service:path}/red",
    "/api/v1/logs",
    "/api/v1/logs/histogram",
    "/api/v1/logs/total",
    "/api/v1/logs/context",
    "/api/v1/traces/{trace_id}/logs",
    "/api/v1/metrics",
    "/api/v1/metrics/{name:path}/series",
    "/api/v1/metrics/{name:path}/points",
    "/api/v1/metrics/{name:path}/values",
    "/api/v1/metrics/{name:path}/exemplars",
    "/api/v1/traces",
    "/api/v1/traces/{trace_id}",
    "/api/v1/traces/{trace_id}/critical-path",
    "/api/v1/traces/{trace_id}/otlp",
    "/api/v1/spans",
    "/api/v1/spans/events",
    "/api/v1/exceptions",
    "/api/v1/dependencies",
    "/openapi.json",
    "/docs",
    "/docs/start.js",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
    "/docs/favicon-32x32.png",
)
JAEGER = (
    "/api/services",
    "/api/services/{service:path}/operations",
    "/api/operations",
    "/api/traces",
    "/api/traces/{trace_id:path}",
    "/api/dependencies",
    "/api/metrics/latencies",
    "/api/metrics/calls",
    "/api/metrics/errors",
    "/api/metrics/minstep",
    "/api/v3/services",
    "/api/v3/operations",
    "/api/v3/trace-summaries",
    "/api/v3/traces",
    "/api/v3/traces/{trace_id:path}",
)
STORAGE = (
    "TraceReader/GetTraces",
    "TraceReader/GetServices",
    "TraceReader/GetOperations",
    "TraceReader/FindTraces",
    "TraceReader/FindTraceIDs",
    "DependencyReader/GetDependencies",
    "Capabilities/GetCapabilities",
)
LET_IN = (200, 400, 404, 503)
"""What a question hears that nobody refused: an answer, that it is none, or to come again."""

STORAGE_LET_IN = (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)
"""The same over gRPC."""

ROUTES = {
    **{f"http POST /v1/{signal}{slash}": INGEST for signal in Signal for slash in ("", "/")},
    **{f"grpc {method}": INGEST for method in METHODS.values()},
    **{
        f"{door} /jaeger.storage.v2.{method}": READ
        for door in ("grpc", "storage")
        for method in STORAGE
    },
    "storage /grpc.health.v1.Health/Check": OPEN,
    "storage /grpc.health.v1.Health/Watch": OPEN,
    "grpc /grpc.health.v1.Health/Check": OPEN,
    "grpc /grpc.health.v1.Health/Watch": OPEN,
    "telemetry GET /metrics": READ,
    "telemetry HEAD /metrics": READ,
    "telemetry GET /health/live": OPEN,
    "telemetry HEAD /health/live": OPEN,
    "telemetry GET /health/ready": OPEN,
    "telemetry HEAD /health/ready": OPEN,
    **{f"api {method} {path}": READ for path in (*API, *JAEGER) for method in ("GET", "HEAD")},
}
"""Every route there is, and who may use it."""

OK, UNKNOWN, FORBIDDEN = 200, 401, 403
TOO_LARGE = 431
GRPC = {
    OK: grpc.StatusCode.OK,
    UNKNOWN: grpc.StatusCode.UNAUTHENTICATED,
    FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Case(NamedTuple):
    """What a request shows, and what it hears where a key to ingest, or to read, is needed."""

    name: str
    headers: list[tuple[str, str]]
    ingest: int = UNKNOWN
    read: int = UNKNOWN
    query: str = ""
    http_only: bool = False


def cases(keys: dict[str, str]) -> list[Case]:
    """Return everything that somebody might show."""
    good = keys["ingest"]

    def bearer(token: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {token}")]

    unknown = Token.new()
    return [
        Case("none", []),
        Case("empty bearer", bearer("")),
        Case("empty x-api-key", [("x-api-key", "")]),
        Case("no scheme", [("authorization", good)]),
        Case("basic", [("authorization", "Basic b3RscGc6b3RscGc=")]),
        Case("malformed", bearer("otlpg_nothing")),
        Case("upper case", bearer(good.upper())),
        Case("cut", bearer(good[:-1])),
        Case("longer", bearer(good + "0")),
        Case("another's secret", bearer(f"{good[:23]}{keys['query'][23:]}")),
        Case("unknown", bearer(unknown.text)),
        Case("revoked", bearer(keys["revoked"])),
        Case("expired", bearer(keys["expired"])),
        Case("two keys in one", bearer(f"{good} {good}")),
        Case("two headers", [*bearer(good), *bearer(good)]),
        Case("two kinds", [*bearer(good), ("x-api-key", good)]),
        Case("tab", [("authorization", f"Bearer\t{good}")], http_only=True),
        Case("15 kB", bearer("x" * 15_000)),
        Case("1 MB", bearer("x" * 1_000_000), ingest=TOO_LARGE, read=TOO_LARGE),
        Case("NUL", bearer(f"{good}\0"), ingest=400, read=400, http_only=True),
        Case("not ASCII", bearer(f"{good}\u00e9"), http_only=True),
        Case("in the address", [], query=f"?key={good}&access_token={good}", http_only=True),
        Case("bearer", bearer(good), ingest=OK, read=FORBIDDEN),
        Case("BEARER, spaces", [("authorization", f"bEARER   {good}")], ingest=OK, read=FORBIDDEN),
        Case("x-api-key", [("x-api-key", good)], ingest=OK, read=FORBIDDEN),
        Case("query", bearer(keys["query"]), ingest=FORBIDDEN, read=OK),
        Case("admin", [("x-api-key", keys["admin"])], ingest=FORBIDDEN, read=OK),
        Case("all scopes", bearer(keys["all"]), ingest=OK, read=OK),
    ]  # fmt: skip


@pytest.fixture
async def keys(connection: Connection) -> dict[str, str]:
    """One key of each kind, by its name."""
    made: dict[str, str] = {}
    for name, scopes in {
        "ingest": [Scope.INGEST], "query": [Scope.QUERY], "admin": [Scope.ADMIN],
        "all": list(Scope), "revoked": list(Scope), "expired": list(Scope),
    }.items():  # fmt: skip
        token, _ = await tokens.create(connection, name=name, scopes=scopes, expires_s=3600)
        made[name] = token.text
    await tokens.revoke(connection, made["revoked"])
    await connection.execute("UPDATE api_keys SET expires_at = now() WHERE name = 'expired'")
    return made


@pytest.fixture
async def guarded(
    database_settings: DatabaseSettings, keys: dict[str, str]
) -> AsyncGenerator[Daemon]:
    """A daemon that asks for keys; the keys were there before."""
    running = Daemon(
        database_settings,
        OTLPG_RECEIVE__CORS_ORIGINS=ORIGIN,
        OTLPG_API__ENABLED="true",
        **KEYS_ON,
    )
    try:
        await asyncio.to_thread(running.start)
        yield running
        assert await asyncio.to_thread(running.stop) == 0, running.log_text()
    finally:
        await asyncio.to_thread(running.kill)


async def ask(
    port: int, method: str, path: str, headers: list[tuple[str, str]], *, sends_body: bool = False
) -> tuple[int, str]:
    """Return the status and the whole answer to a request whose body never comes, or is empty."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = [] if method in ("GET", "HEAD") else [("content-length", "0" if sends_body else "999")]
    lines = [f"{method} {path} HTTP/1.1", "host: x", "content-type: application/x-protobuf"]
    lines += [f"{name}: {value}" for name, value in (*length, *headers)]
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head)
        body = await reader.read(int(found[1])) if found and method != "HEAD" else b""
        return int(head.split()[1]), (head + body).decode("latin-1")
    finally:
        writer.close()


async def call(
    channel: grpc.aio.Channel, method: str, headers: list[tuple[str, str]], *, sends_body: bool
) -> grpc.StatusCode:
    """Return the code of a call whose message never comes, or is an empty one."""
    made: Any = channel.stream_stream(method, bytes, bytes)(metadata=headers, timeout=20)
    try:
        if sends_body:
            await made.write(b"")
            await made.done_writing()
        while await made.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return cast("Any", error).code()
    return grpc.StatusCode.OK


async def nobody() -> Any:
    """Be what the application of telemetry calls, which is only looked at."""


def test_every_route_stands_in_the_table() -> None:
    """A new route without a row turns this red: nobody has decided yet who may use it."""
    settings, metrics = ReceiveSettings(), Metrics()
    clock = SystemClock()
    otlp = OtlpHttpService(
        cast("Export", None), Gate(TlsSettings(), None), settings, 1, clock, metrics, Turns(clock)
    )
    about = build_app(nobody, dict)
    api = ApiDaemon(Settings(), clock=clock, metrics=metrics, probe=Probe())
    routes = {
        "http": otlp.app().routes,
        "telemetry": about.routes,
        "api": cast("Any", api._server._app).routes,  # pyright: ignore[reportPrivateUsage]
    }
    found: set[str] = set()
    for listener, of_listener in routes.items():
        for route in of_listener:
            assert isinstance(route, Route), "what hides routes, as a mount does"
            found |= {f"{listener} {method} {route.path}" for method in route.methods or ()}
    found |= {f"grpc {method}" for method in grpc_service._METHODS}  # pyright: ignore[reportPrivateUsage]
    service = health_pb2.DESCRIPTOR.services_by_name["Health"]
    for door in ("grpc", "storage"):
        found |= {f"{door} /{service.full_name}/{name}" for name in ("Check", "Watch")}
        found |= {f"{door} {path}" for path in StorageCalls(cast("StoredSpans", None)).by_path()}

    assert found == set(ROUTES)


CALLERS_MAX = 100
"""At once: nobody is to wait for the others so long that it hears nothing in time."""

BY_CORE = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL)
"""How core refuses headers that are too large: with a status, or by a reset while they still come."""


async def test_every_route_asks_every_caller(guarded: Daemon, keys: dict[str, str]) -> None:
    """Each credential at each route hears what the table says, though no body ever comes."""
    doors = {"grpc": guarded.grpc_port, "storage": guarded.jaeger_port}
    channels, of_large = (
        {
            door: grpc.aio.insecure_channel(
                f"127.0.0.1:{port}",
                options=[
                    ("grpc.max_metadata_size", 2**21),
                    ("grpc.absolute_max_metadata_size", 2**21),
                    ("grpc.use_local_subchannel_pool", 1),
                ],
            )
            for door, port in doors.items()
        }
        for _ in range(2)
    )  # core may end the connection of headers that are too large, with all its calls
    wrong: list[str] = []
    asked = 0
    turns = asyncio.Semaphore(CALLERS_MAX)
    few = asyncio.Semaphore(4)  # workers pass on no more than a few calls at once

    async def check(route: str, access: str, case: Case) -> None:
        async with turns:
            await checked(route, access, case)

    async def checked(route: str, access: str, case: Case) -> None:
        nonlocal asked
        listener, *words = route.split()
        expected = {INGEST: case.ingest, READ: case.read, OPEN: OK}[access]
        sends_body = expected == OK  # what is refused is refused before it
        if listener in channels:
            if case.http_only or words[0].endswith("Watch"):
                return
            async with few if sends_body else contextlib.nullcontext():
                heard: object = await call(
                    (of_large if case.name == "1 MB" else channels)[listener],
                    words[0],
                    case.headers,
                    sends_body=sends_body,
                )
            wanted: object = GRPC[expected]
            if words[0].rpartition(".v2.")[2] in STORAGE and heard in STORAGE_LET_IN:
                wanted = heard if expected == OK else wanted
            if case.name == "1 MB":
                wanted = heard if heard in BY_CORE else GRPC[TOO_LARGE]
        else:
            method, path = words
            port = {
                "http": guarded.http_port,
                "telemetry": guarded.telemetry_port,
                "api": guarded.api_port,
            }[listener]
            try:
                heard, said = await ask(
                    port, method, path + case.query, case.headers, sends_body=sends_body
                )
            except (ConnectionError, asyncio.IncompleteReadError):
                heard, said = 400, ""  # closed in the middle of a head that is too large
            wanted = expected
            if listener == "api" and expected == OK and heard in LET_IN:
                wanted = heard
            if case.name in ("1 MB", "NUL"):  # h11 ends it before anybody reads who is asking
                wanted = 400
            if (heard == UNKNOWN) != ("www-authenticate: Bearer\r\n" in said):
                wrong.append(f"{route}, {case.name}: {said}")
            if any(token in said for token in keys.values()):
                wrong.append(f"{route}, {case.name}: the answer holds the key")
        asked += 1
        if heard != wanted:
            wrong.append(f"{route}, {case.name}: {heard}, not {wanted}")

    async with asyncio.TaskGroup() as tasks:
        for route, access in ROUTES.items():
            for case in cases(keys):
                tasks.create_task(check(route, access, case))
    for channel in (*channels.values(), *of_large.values()):
        await channel.close()

    assert not wrong, "\n".join(wrong)
    assert asked > 400
    log = guarded.log_text()
    assert not any(token.rpartition("_")[2] in log for token in keys.values())


async def test_other_methods_and_paths_give_nothing_away(guarded: Daemon) -> None:
    """What is no route is 404 or 405, or asks for a key first, and gRPC's UNIMPLEMENTED."""
    for port, path in (
        (guarded.http_port, "/v1/traces"),
        (guarded.telemetry_port, "/metrics"),
    ):
        for method in ("PUT", "DELETE", "PATCH", "TRACE"):
            assert (await ask(port, method, path, []))[0] == 405
        assert (await ask(port, "GET", "/v1/traces/../../metrics", []))[0] in (404, 405)
        assert (await ask(port, "GET", "/", []))[0] == 404
    for method, path in (("PUT", "/api/v1/tail"), ("GET", "/"), ("GET", "/docs/../x")):
        assert (await ask(guarded.api_port, method, path, []))[0] == UNKNOWN
    async with grpc.aio.insecure_channel(f"127.0.0.1:{guarded.grpc_port}") as channel:
        for method in ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/a/b"):
            assert (
                await call(channel, method, [], sends_body=False) is grpc.StatusCode.UNIMPLEMENTED
            )


async def test_a_web_page_may_ask_how_to_send_without_a_key(guarded: Daemon) -> None:
    """Browsers put no key into a preflight; both headers of ours are allowed by it."""
    for name in ("authorization", "x-api-key"):
        status, said = await ask(
            guarded.http_port, "OPTIONS", "/v1/traces",
            [
                ("origin", ORIGIN),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", f"content-type,{name}"),
            ],
            sends_body=True,
        )  # fmt: skip

        assert status == 200
        assert name in said.lower().partition("access-control-allow-headers:")[2]


async def test_a_refused_body_does_not_cost_its_sender_the_answer(guarded: Daemon) -> None:
    """Who pours a large body in hears 401, and not a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.http_port)
    writer.write(
        b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
        b"content-length: 4000000\r\n\r\n" + bytes(4_000_000)
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    writer.close()

    assert b" 401 " in head


async def test_a_new_key_works_at_once_and_a_revoked_one_soon_no_more(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Also on a connection that is older than the key's end; the refresh is far away."""
    with Daemon(database_settings, OTLPG_AUTH__KEYS="true", OTLPG_AUTH__REFRESH_S="1h") as daemon:
        token, key = await tokens.create(
            connection, name="late", scopes=[Scope.INGEST], expires_s=None
        )
        async with grpc.aio.insecure_channel(f"127.0.0.1:{daemon.grpc_port}") as channel:
            stub = channel.unary_unary(METHODS[Signal.LOGS], bytes, bytes)
            metadata = [("authorization", f"Bearer {token.text}")]
            first = await stub(numbered_logs([1]), metadata=metadata, timeout=20)
            await tokens.revoke(connection, key.id)
            # Any unknown key brings the next reading forward.
            stranger = [("x-api-key", Token.new().text)]
            codes = [
                await call(channel, METHODS[Signal.LOGS], shown, sends_body=False)
                for shown in (stranger, metadata)
            ]

    assert first == b""
    assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 2


async def test_known_senders_go_on_while_postgresql_is_away_and_unknown_ones_may_come_again(
    own_database: DatabaseSettings, own_server: EmbeddedPostgres
) -> None:
    """A known key is held and refused as ever; an unknown one is not told that it is wrong."""
    admin = await connect(own_database)
    token, _ = await tokens.create(admin, name="a", scopes=[Scope.INGEST], expires_s=None)
    await admin.close()
    daemon = Daemon(own_database, OTLPG_RECEIVE__HOLD_S_MAX="5s", **KEYS_ON)
    try:
        await asyncio.to_thread(daemon.start)
        await asyncio.to_thread(own_server.stop, "immediate")
        headers = [("x-api-key", token.text)], [("x-api-key", Token.new().text)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{daemon.grpc_port}") as channel:
            began_s = time.monotonic()
            stub = channel.unary_unary(METHODS[Signal.LOGS], bytes, bytes)
            held = asyncio.ensure_future(
                cast("Any", stub(numbered_logs([1]), metadata=headers[0], timeout=60))
            )
            unknown = await call(channel, METHODS[Signal.LOGS], headers[1], sends_body=False)
            await asyncio.to_thread(own_server.restart)
            await held
            took_s = time.monotonic() - began_s
    finally:
        await asyncio.to_thread(daemon.kill)

    assert unknown is grpc.StatusCode.UNAVAILABLE
    assert took_s < 60


async def test_without_any_keys_read_every_sender_is_told_to_come_again(
    own_database: DatabaseSettings, own_server: EmbeddedPostgres
) -> None:
    """A daemon that starts while PostgreSQL is away cannot know anybody: 503, and not 401."""
    await asyncio.to_thread(own_server.stop, "immediate")
    daemon = Daemon(own_database, await_store=False, **KEYS_ON)
    try:
        await asyncio.to_thread(daemon.start)
        status, said = await ask(
            daemon.http_port, "POST", "/v1/logs", [("x-api-key", Token.new().text)]
        )
        async with grpc.aio.insecure_channel(f"127.0.0.1:{daemon.grpc_port}") as channel:
            code = await call(
                channel, METHODS[Signal.LOGS], [("x-api-key", Token.new().text)], sends_body=False
            )
        metrics, _ = await ask(
            daemon.telemetry_port, "GET", "/metrics", [("x-api-key", Token.new().text)]
        )
        live, _ = await ask(daemon.telemetry_port, "GET", "/health/live", [])
    finally:
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(own_server.restart)

    assert (status, metrics, live) == (503, 503, 200)
    assert "retry-after: 2" in said
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_the_real_sdk_exporters_carry_a_key(
    guarded: Daemon, keys: dict[str, str], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As README says: OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<key>."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{keys['ingest']}")
    exporters = [
        grpc_exporter(Signal.TRACES, guarded.grpc_port, grpc.Compression.Gzip),
        http_exporter(Signal.TRACES, guarded.http_port, http.Compression.Gzip),
    ]
    for number, exporter in enumerate(exporters):
        result = await asyncio.to_thread(export_spans, exporter, [f"span {number}"])

        assert result.name == "SUCCESS"

    names = await connection.fetch("SELECT name FROM trace_spans ORDER BY name")
    assert [row[0] for row in names] == ["span 0", "span 1"]
