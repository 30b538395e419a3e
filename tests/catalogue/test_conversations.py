"""Section 6 of the catalogue on raw sockets: heads, frames, floods, sizes and repeats.

As in ``test_cases``, the same worker serves the next good request after each, in bounded memory.
"""

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import pytest

from collector.convert.tags import varint
from collector.rows import Signal
from tests.catalogue import raw
from tests.catalogue.building import logs, record, span, traces
from tests.catalogue.case import Transport
from tests.catalogue.conversations import (
    CALLED,
    CHUNKED,
    FLOODS,
    GONE,
    KEPT_OPEN,
    ONE,
    RESET,
    SPOKEN,
    SPOKEN_TO_GRPC,
    TWO,
    Called,
    Spoken,
)
from tests.catalogue.sending import assert_clean
from tests.catalogue.stand import Stand
from tests.e2e.senders import METHODS
from tests.equality import assert_same_items

REQUEST_BYTES_MAX = 64 * 2**20
IDLE_CONNECTIONS = 500
"""On each port; ``tests/e2e/test_descriptors.py`` and the listeners' own tests take all there are."""


@pytest.mark.parametrize("spoken", SPOKEN, ids=str)
def test_http_hears_the_right_status(stand: Stand, spoken: Spoken) -> None:
    """Nothing that was not announced is stored, and a connection in doubt is closed."""
    stand.empty()

    heard = raw.talk(stand.daemon.http_port, spoken.sent, hang_up=spoken.hang_up)

    assert heard.statuses == spoken.statuses, heard.text
    assert "location" not in heard.text.lower()
    assert_clean(heard.text)
    assert stand.count(Signal.LOGS) == spoken.stored
    stand.assert_healthy(Transport.HTTP)


@pytest.mark.parametrize("called", CALLED, ids=str)
def test_grpc_ends_the_call_rightly(stand: Stand, called: Called) -> None:
    """Every end is one of gRPC's own codes, or of HTTP/2's."""
    stand.empty()

    if called.ends:
        end = raw.call(stand.daemon.grpc_port, called.sent)
        codes = {code.value[0]: code for code in grpc.StatusCode}
        heard = codes[end.status] if end.status is not None else RESET if end.was_reset else GONE
        assert heard in called.ends, end.text
        assert_clean(end.text.decode("latin-1"))
    else:
        raw.say(stand.daemon.grpc_port, called.sent)
    stand.assert_healthy()

    assert stand.count(Signal.LOGS) - 1 in called.stored  # one is the next good request


def test_a_path_that_is_no_text_does_not_end_the_listener(stand: Stand) -> None:
    """Number 96: gRPC cancels that call and gives up its server, which is replaced."""
    port = stand.daemon.grpc_port
    path = METHODS[Signal.LOGS].encode() + b"\xff"

    end = raw.call(port, raw.open_call(raw.call_headers(_path=path)) + raw.data(raw.message(ONE)))

    assert end.status == grpc.StatusCode.CANCELLED.value[0]
    stand.daemon.wait_for_log("gRPC gave up its server")
    stand.reconnect()
    stand.assert_healthy()


@pytest.mark.parametrize("name", SPOKEN_TO_GRPC)
def test_another_protocol_at_the_door_of_grpc_is_closed(stand: Stand, name: str) -> None:
    """And nothing of it is dispatched."""
    stand.empty()

    heard = raw.talk(stand.daemon.grpc_port, SPOKEN_TO_GRPC[name])

    assert not [status for status in heard.statuses if status < 400]
    assert stand.count(Signal.LOGS) == 0
    stand.assert_healthy()


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_on_one_connection_harms_no_other(stand: Stand, name: str) -> None:
    """While it is open, and after it was closed."""
    with raw.flood(stand.daemon.grpc_port, FLOODS[name]):
        stand.assert_healthy()
    stand.assert_healthy()


def test_idle_connections_harm_nobody(stand: Stand) -> None:
    """Hundreds that say nothing, on either port."""
    with contextlib.ExitStack() as idle:
        for port in (stand.daemon.grpc_port, stand.daemon.http_port) * IDLE_CONNECTIONS:
            idle.enter_context(socket.create_connection(("127.0.0.1", port), raw.WAIT_S))
        stand.assert_healthy(Transport.GRPC)
        stand.assert_healthy(Transport.HTTP)


@pytest.mark.parametrize("surplus", [-1, 0, 1])
@pytest.mark.parametrize("how", ["gRPC", "length", "chunked"])
def test_64_mib_are_the_limit(stand: Stand, how: str, surplus: int) -> None:
    """One byte more is refused for good, and the answer comes though nobody read the rest."""
    stand.empty()
    padding = REQUEST_BYTES_MAX + surplus - len(ONE) - 5
    body = ONE + b"\x7a" + varint(padding) + bytes(padding)
    assert len(body) == REQUEST_BYTES_MAX + surplus

    if how == "gRPC":
        answer = stand.send(Signal.LOGS, Transport.GRPC, body)
        expected = grpc.StatusCode.OK if surplus <= 0 else grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (answer.code, answer.may_retry) == (expected, False)
        assert stand.count(Signal.LOGS) == (surplus <= 0)
    else:
        sent = raw.request(body, usual=KEPT_OPEN)
        if how == "chunked":
            sent = raw.request(raw.chunked(body), CHUNKED, length=-1, usual=KEPT_OPEN)
        heard = raw.talk(stand.daemon.http_port, sent, raw.request(TWO))
        assert heard.statuses == [200 if surplus <= 0 else 413, 200]
        assert stand.count(Signal.LOGS) == (surplus <= 0) + 1
    stand.assert_healthy()


@pytest.mark.parametrize("way", list(Transport))
def test_equal_spans_in_two_requests_are_both_stored(stand: Stand, way: Transport) -> None:
    """Number 51: only a whole request that comes again is a repeat."""
    stand.empty()
    first, second = traces(span()), traces(span(), span(name="other"))

    for request in (first, second):
        stand.send_request(request, way)

    first.MergeFrom(second)
    assert_same_items(stand.stored(Signal.TRACES), first)


def test_logs_that_nothing_tells_apart_are_both_stored(stand: Stand) -> None:
    """Number 102: without a time or an id, equal bytes may come from two senders."""
    stand.empty()
    request = logs(record(time_unix_nano=0))

    for _ in range(2):
        stand.send_request(request, Transport.GRPC)

    assert stand.count(Signal.LOGS) == 2


def test_a_request_that_comes_fifty_times_at_once_is_stored_once(stand: Stand) -> None:
    """Number 100, by every transport; restarts and windows have tests of their own."""
    stand.empty()
    request = logs(record(trace_id=b"fifty times once"))
    ways = list(Transport) * 17

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(partial(stand.send_request, request), ways))

    assert stand.count(Signal.LOGS) == 1
    stand.assert_healthy()
