"""A request by any transport, and what its sender hears."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import grpc
from google.protobuf import json_format
from google.rpc import status_pb2

from collector.receive.export import Ack
from collector.receive.http_service import JSON, PROTOBUF
from collector.receive.reply import Reply, to_reply
from collector.rows import Signal
from tests.catalogue.case import Transport
from tests.e2e.senders import Caller, Failure

ERROR_BYTES_MAX = 4 * 1024
TIMEOUT_S = 60.0

LEAKS = re.compile(
    r"Traceback|[a-z](Error|Exception)|\.py\b|asyncpg|postgres|127\.0\.0\.1|/dev/shm|/tmp/"
    r"|\b(SELECT|INSERT|COPY|UPDATE|sqlstate|password)\b"
)
"""What texts of exceptions, SQL, stacks and DSNs are made of."""

HTTP_STATUS = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 413,
    grpc.StatusCode.UNIMPLEMENTED: 415,
    grpc.StatusCode.UNAVAILABLE: 503,
}


class Answer(NamedTuple):
    """What a sender hears. ``code`` is in gRPC's terms, whatever the transport."""

    code: grpc.StatusCode
    said: str  # of an error, or of a partial success
    rejected: int
    may_retry: bool
    took_s: float


class Senders:
    """One connection for gRPC, and one for each request over HTTP."""

    def __init__(self, grpc_port: int, http_port: int) -> None:
        self._grpc_port = grpc_port
        self._caller = Caller(grpc_port)
        self._http_port = http_port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._caller.channel.close()

    def reconnect(self) -> None:
        """Give up the connection for gRPC for a new one."""
        self._caller.channel.close()
        self._caller = Caller(self._grpc_port)

    def send(
        self, signal: Signal, way: Transport, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request; check all that is true of every answer."""
        if way is Transport.GRPC:
            return self._call(signal, body)
        return self._post(signal, way, body, headers or {})

    def _call(self, signal: Signal, body: bytes) -> Answer:
        began_s = time.monotonic()
        heard = self._caller.send(signal, body, timeout_s=TIMEOUT_S, wait_for_ready=True)
        took_s = time.monotonic() - began_s
        if isinstance(heard, bytes):
            reply = _reply_to(signal)
            reply.MergeFromString(heard)
            return _ok(signal, reply, took_s)
        assert_clean(heard.everything)
        return Answer(heard.code, heard.details, 0, _may_retry(heard), took_s)

    def _post(
        self, signal: Signal, way: Transport, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        media = JSON if way is Transport.JSON else PROTOBUF
        sent = {name: value for name, value in {"content-type": media, **headers}.items() if value}
        connection = http.client.HTTPConnection("127.0.0.1", self._http_port, timeout=TIMEOUT_S)
        began_s = time.monotonic()
        try:
            connection.request("POST", f"/v1/{signal}", body, sent)
            heard = connection.getresponse()
            content, retry_after = heard.read(), heard.getheader("retry-after")
        finally:
            connection.close()
        took_s = time.monotonic() - began_s
        answered = heard.getheader("content-type")
        if heard.status == HTTP_STATUS[grpc.StatusCode.OK]:
            assert answered == media
            return _ok(signal, _parse(_reply_to(signal), media, content), took_s)
        asked = sent.get("content-type")
        expected = asked if asked in (PROTOBUF, JSON) else JSON
        assert answered == expected
        status = _status_of(expected, content)
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        assert HTTP_STATUS[code] == heard.status
        return Answer(code, status.message, 0, retry_after is not None, took_s)


def _status_of(media: str, content: bytes) -> status_pb2.Status:
    """Return the error in an HTTP answer, which must be a small ``google.rpc.Status``."""
    assert len(content) < ERROR_BYTES_MAX
    status = _parse(status_pb2.Status(), media, content)
    assert_clean(status.message)
    assert not status.details
    return status


def assert_clean(text: str) -> None:
    """Fail when an answer tells what is none of its sender's business."""
    assert not LEAKS.search(text), text


def _ok(signal: Signal, reply: Reply, took_s: float) -> Answer:
    assert isinstance(reply, type(_reply_to(signal)))
    assert_clean(reply.partial_success.error_message)
    [rejected] = [
        value
        for field, value in json_format.MessageToDict(
            reply.partial_success, always_print_fields_with_no_presence=True
        ).items()
        if field.startswith("rejected")
    ]
    said = reply.partial_success.error_message
    return Answer(grpc.StatusCode.OK, said, int(rejected), False, took_s)


def _reply_to(signal: Signal) -> Reply:
    return to_reply(signal, Ack())


def _parse(message: Any, media: str, content: bytes) -> Any:
    if media == JSON:
        return json_format.ParseDict(json.loads(content), message)
    message.MergeFromString(content)
    return message


def _may_retry(failure: Failure) -> bool:
    """Tell whether every SDK would come again; both places must say the same."""
    assert failure.retry_s == failure.status_retry_s
    return failure.retry_s is not None
