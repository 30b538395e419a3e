"""The official Jaeger v2 with otlpg as its remote storage, and its own test of such storages."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.operate.bench.query import jaeger as measured
from collector.operate.bench.query.asking import HttpLine
from collector.rows import Signal
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller
from tests.factories import trace_request
from tests.interop import jaeger_programs
from tests.interop.chain import crash
from tests.interop.jaeger import Jaeger
from tests.interop.stored import Stored

pytestmark = pytest.mark.interop

MINUTE_NS = 60 * 10**9
CASES_S_MAX = 120.0
CASES = (
    ("GetServices",),
    ("GetOperations",),
    ("GetTrace",),
    ("FindTraces",),
    ("GetLargeTrace",),
    ("GetTraceWithDuplicateSpans",),
)
"""Of Jaeger's test; each group begins with an empty otlpg, as their traces have the same id, and the
spans of a trace come in any order: written twice, it is another request, and has its spans twice."""
SEARCHES = 22
"""Cases of FindTraces."""
NOT_FOR_US = {"GetDependencies", "GetThroughput", "GetLatestProbability"}
"""Jaeger's test skips these over gRPC, which has no way to write dependencies and samplings."""


@pytest.fixture(scope="session")
def jaeger_built() -> jaeger_programs.JaegerPrograms:
    """The programs that `make interop` has built."""
    return jaeger_programs.find()


@pytest.fixture
async def reading(stored: Stored) -> AsyncGenerator[Daemon]:
    """An otlpg that may be read from, with nothing in it."""
    daemon = Daemon(stored.database, OTLPG_API__ENABLED="true")
    try:
        await asyncio.to_thread(daemon.start)
        yield daemon
    finally:
        await asyncio.to_thread(crash, daemon)


@pytest.fixture
async def jaeger(
    jaeger_built: jaeger_programs.JaegerPrograms, reading: Daemon, tmp_path: Path
) -> AsyncGenerator[Jaeger]:
    """A Jaeger whose storage it is."""
    running = Jaeger(jaeger_built.jaeger, tmp_path, storage_at=reading.grpc_port)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


async def run_cases(
    program: Path, folder: Path, cases: Sequence[str], port: int, *, skip: Sequence[str] = ()
) -> tuple[int, str]:
    """Return the exit code and the words of some cases of Jaeger's test, without those to skip."""
    process = await asyncio.create_subprocess_exec(
        program,
        "-test.v",
        f"-test.run=^TestOtlpg$/^({'|'.join(cases)})$",
        *([f"-test.skip=^TestOtlpg$/^({'|'.join(skip)})$"] if skip else []),
        cwd=folder,
        env={**os.environ, "OTLPG_TEST_ENDPOINT": f"127.0.0.1:{port}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(CASES_S_MAX):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode()


def cases_in(said: str, end: str) -> set[str]:
    """Return the cases that ended so, by their paths below the test itself."""
    return set(re.findall(rf"--- {end}: TestOtlpg/(\S+)", said))


@pytest.mark.parametrize("cases", CASES, ids="+".join)
async def test_jaegers_own_test_of_a_storage_passes(
    cases: Sequence[str],
    jaeger_built: jaeger_programs.JaegerPrograms,
    reading: Daemon,
    tmp_path: Path,
) -> None:
    """It writes OTLP to one address, and reads jaeger.storage.v2 from there."""
    code, said = await run_cases(jaeger_built.storage_test, tmp_path, cases, reading.grpc_port)

    assert code == 0, said[-20_000:]
    passed = cases_in(said, "PASS")
    assert passed >= set(cases)
    searches = [path for path in passed if path.startswith("FindTraces/")]
    assert len(searches) == (SEARCHES if "FindTraces" in cases else 0)


async def test_jaegers_test_asks_no_more_than_that_of_a_storage_over_grpc(
    jaeger_built: jaeger_programs.JaegerPrograms, tmp_path: Path
) -> None:
    """Whatever else it has it skips, without a storage to ask."""
    program, known = jaeger_built.storage_test, [name for group in CASES for name in group]

    code, said = await run_cases(program, tmp_path, [".*"], port=1, skip=known)

    assert code == 0, said
    assert cases_in(said, "SKIP") == NOT_FOR_US
    assert not cases_in(said, "PASS")


async def test_jaeger_shows_what_otlpg_stored(jaeger: Jaeger, reading: Daemon) -> None:
    """Services, operations, searches and traces over both of its HTTP APIs, and dependencies."""
    start = time.time_ns() - MINUTE_NS
    sent = trace_request(items=40, base_unix_nano=start)
    with Caller(reading.grpc_port) as caller:
        assert caller.send(Signal.TRACES, sent.SerializeToString()) == b""
    by_service, traces = owners_of(sent), traces_of(sent)

    services = await jaeger.get("/api/services")

    assert sorted(services["data"]) == sorted(by_service)
    assert sorted((await jaeger.get("/api/v3/services"))["services"]) == sorted(by_service)
    for service, spans in by_service.items():
        found = await jaeger.get("/api/v3/operations", service=service)
        assert {one["name"] for one in found["operations"]} == {span.name for span in spans}
        microseconds = {"start": str(start // 1_000 - 60_000_000), "end": str(start // 1_000 + 60_000_000)}  # fmt: skip
        searched = await jaeger.get("/api/traces", service=service, limit="100", **microseconds)
        assert spans_of_v1(searched["data"]) == {
            trace_id: traces[trace_id] for trace_id in {span.trace_id.hex() for span in spans}
        }
    for trace_id, ids in traces.items():
        one = await jaeger.get(f"/api/traces/{trace_id}")
        assert spans_of_v1(one["data"]) == {trace_id: ids}
        again = await jaeger.get(f"/api/v3/traces/{trace_id}")
        assert spans_of_v3(again) == {(trace_id, span_id) for span_id in ids}
    milliseconds = str(start // 10**6 + 60_000)
    called = await jaeger.get("/api/dependencies", endTs=milliseconds, lookback="3600000")
    assert called["data"]
    assert {one["parent"] for one in called["data"]} <= by_service.keys()


async def test_what_jaeger_receives_is_stored(jaeger: Jaeger, stored: Stored) -> None:
    """It acknowledges nothing that otlpg has not committed."""
    sent = trace_request(items=40, base_unix_nano=time.time_ns() - MINUTE_NS)
    with Caller(jaeger.port) as caller:
        assert isinstance(caller.send(Signal.TRACES, sent.SerializeToString()), bytes)

    await stored.reaches(Signal.TRACES, 40)
    await stored.assert_holds_exactly({Signal.TRACES: 40})
    assert spans_of_v1((await jaeger.get(f"/api/traces/{next(iter(traces_of(sent)))}"))["data"])


def owners_of(request: ExportTraceServiceRequest) -> dict[str, list[Span]]:
    """Return the spans of each service."""
    found: dict[str, list[Span]] = {}
    for group in request.resource_spans:
        [service] = [
            attribute.value.string_value
            for attribute in group.resource.attributes
            if attribute.key == "service.name"
        ]
        found.setdefault(service, []).extend(
            s for scoped in group.scope_spans for s in scoped.spans
        )
    return found


def traces_of(request: ExportTraceServiceRequest) -> dict[str, set[str]]:
    """Return the ids of the spans of each trace, in hex."""
    found: dict[str, set[str]] = {}
    for spans in owners_of(request).values():
        for span in spans:
            found.setdefault(span.trace_id.hex(), set()).add(span.span_id.hex())
    return found


def spans_of_v1(data: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return the same of an answer of Jaeger's first API."""
    return {trace["traceID"]: {span["spanID"] for span in trace["spans"]} for trace in data}


def spans_of_v3(answer: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the ids of the spans in an answer of its third API."""
    return {
        (span["traceId"], span["spanId"])
        for group in answer["result"]["resourceSpans"]
        for scoped in group["scopeSpans"]
        for span in scoped["spans"]
    }


def test_the_jaeger_that_is_measured_sends_nothing_of_its_own(
    jaeger_built: jaeger_programs.JaegerPrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would at its end, at the latest, to where somebody's daemon may listen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with measured.Jaeger(jaeger_built.jaeger, tmp_path) as jaeger:
            line = HttpLine(jaeger.http_port)
            line.body("/api/services")
            line.close()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
