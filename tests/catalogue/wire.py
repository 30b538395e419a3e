"""Section 6 of the catalogue, as far as it is about bodies; ``test_conversations`` has the rest."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import grpc

from collector.convert.tags import field_of, varint
from collector.receive.content import MEMBERS_MAX
from collector.receive.http_service import JSON
from collector.rows import Reason, Signal
from tests.catalogue.building import logs, on_the_wire, record, span, span_bytes, traces
from tests.catalogue.case import OUTER, Accepted, Case, Rejected, Transport, entries_of
from tests.catalogue.entry import accepted_json, quarantined_wire, rejected

INVALID, EXHAUSTED, UNSUPPORTED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
)
MIB = 2**20
Pack: TypeAlias = Callable[[bytes], bytes]
Write: TypeAlias = Callable[[str], bytes]
LOGS = logs(record())
IN_JSON = entries_of(LOGS)
BROKEN = "is not a valid OTLP"


def _noise() -> Iterator[Case]:
    wires = {
        "noise": random.Random(86).randbytes(200) + b"\x07",
        "a message that is cut off": traces(span()).SerializeToString()[:-1],
        "field number 0": b"\x02\x01a",
        "a length of 2^31": b"\x0a" + varint(2**31) + b"a",
        "a length of 2^63": b"\x0a" + varint(2**63) + b"a",
        "a varint without an end": b"\x08" + b"\xff" * 11,
        "wire type 7": b"\x0f",
        "only zeros": bytes(100),
        "text": b"POST /v1/traces HTTP/1.1\r\n\r\n",
        "a scope that is cut off": field_of(0x0A, b"\x12\x7f\x0a"),
    }
    for name, wire in wires.items():
        for signal in Signal:
            yield rejected(86, name, signal, says=BROKEN, wire=wire)
    broken = on_the_wire(span_bytes(b"\x4a\x7f"))
    yield quarantined_wire(86, "a span that is cut off", Signal.TRACES, broken, Reason.UNDECODABLE)
    floods = {"resources": b"", "scopes": b"\x0a", "spans": b"\x0a\x12"}
    for name, around in floods.items():
        wire = {"resources": b"\x0a\x00", "scopes": b"\x12\x00", "spans": b"\x12\x00"}[name] * (
            2 * MIB
        )
        for tag in reversed(around):
            wire = field_of(tag, wire)
        yield rejected(106, f"2 million empty {name}", Signal.TRACES, code=EXHAUSTED, wire=wire)
    flood = on_the_wire(span_bytes(b"\x4a\x00" * (2 * MIB - 100)))
    yield quarantined_wire(
        106, "2 million empty attributes", Signal.TRACES, flood, Reason.TOO_MANY_PARTS
    )


# -- HTTP's own ways to say it ---------------------------------------------------------------------


def _http(
    number: int,
    name: str,
    headers: Mapping[str, str],
    code: grpc.StatusCode | None = None,
    *,
    pack: Callable[[bytes], bytes] = bytes,
    wire: bytes | None = None,
    alone: str = "",
) -> Case:
    """Return a request of one log record over HTTP; ``code`` None: it is stored."""
    return Case(
        number=number,
        name=name,
        signal=Signal.LOGS,
        end=Accepted(stored=LOGS) if code is None else Rejected(code=code),
        wire=LOGS.SerializeToString() if wire is None else wire,
        headers=headers,
        pack=pack,
        transports=(Transport.HTTP,),
        alone=alone,
    )


def _media() -> Iterator[Case]:
    document = f'{{"resourceLogs":[{IN_JSON}]}}'.encode()
    yield _http(87, "JSON as protobuf", {}, INVALID, wire=document)
    yield _http(87, "protobuf as JSON", {"content-type": JSON}, INVALID)
    for media in (
        "",
        "text/plain",
        "application/grpc",
        "application/x-protobuf2",
        "multipart/form-data",
        "*/*",
    ):
        yield _http(87, f"media type {media or 'missing'}", {"content-type": media}, UNSUPPORTED)
    yield _http(87, "charset UTF-16", {"content-type": f"{JSON}; charset=utf-16"}, UNSUPPORTED)


def _members(count: int) -> Callable[[bytes], bytes]:
    return lambda body: gzip.compress(b"") * count + gzip.compress(body)


def _bomb(_: bytes) -> bytes:
    """Return a gibibyte of zeros as gzip, of members that are packed once."""
    return gzip.compress(bytes(16 * MIB)) * 64


def one_bomb(_: bytes) -> bytes:
    """Return a gibibyte of zeros in one stream, without its checksum."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    head = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(16 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * 64


def _bad_checksum(body: bytes) -> bytes:
    packed = gzip.compress(body)
    return packed[:-8] + bytes(4) + packed[-4:]


def _codings() -> Iterator[Case]:
    packed = {"content-encoding": "gzip"}
    damaged: dict[str, Pack] = {
        "garbage behind gzip": lambda body: gzip.compress(body) + b"garbage",
        "a bad checksum": _bad_checksum,
        "gzip that is cut off": lambda body: gzip.compress(body)[:-9],
        "plain as gzip": bytes,
        "deflate as gzip": zlib.compress,
        "200 000 empty members": _members(200_000),
    }  # fmt: skip
    for name, pack in damaged.items():
        yield _http(91, name, packed, INVALID, pack=pack)
    for name, pack in {"members": _bomb, "one stream": one_bomb}.items():
        yield _http(
            91,
            f"1 GiB of zeros in {name}",
            packed,
            EXHAUSTED,
            pack=pack,
            alone="a bomb is packed once",
        )
    yield _http(91, "members within bounds", packed, pack=_members(MEMBERS_MAX - 1))
    for coding in ("gzip, gzip", "deflate, gzip"):
        yield _http(91, coding, {"content-encoding": coding}, UNSUPPORTED, pack=gzip.compress)
    accepted: dict[str, Pack] = {
        "gzip": gzip.compress, "GZIP": gzip.compress, "deflate": zlib.compress, "identity": bytes,
        "Deflate": lambda body: zlib.compress(body, wbits=-15),
    }  # fmt: skip
    for coding, pack in accepted.items():
        yield _http(92, coding, {"content-encoding": coding}, pack=pack)
    for coding in ("zstd", "snappy", "br", "compress", "x-gzip2", "none", "gzip\tgzip"):
        yield _http(92, f"coding {coding!r}", {"content-encoding": coding}, UNSUPPORTED)


# -- JSON that is none, or not this ----------------------------------------------------------------


def _json() -> Iterator[Case]:
    outer = OUTER[Signal.LOGS]

    def around(before: str, after: str, encoding: str = "utf-8") -> Callable[[str], bytes]:
        return lambda entries: f'{before}{{"{outer}":[{entries}]}}{after}'.encode(encoding)

    documents: dict[str, Write] = {
        "a byte order mark": around("\ufeff", ""),
        "UTF-16": around("", "", "utf-16"),
        "UTF-32": around("", "", "utf-32-le"),
        "something behind": around("", "x"),
        "two documents": around("", "{}"),
        "a comment": around("// hello\n", ""),
        "a list around": around("[", "]"),
        "a name without quotes": lambda entries: f"{{{outer}:[{entries}]}}".encode(),
        "a comma too many": lambda entries: f'{{"{outer}":[{entries},]}}'.encode(),
        "no end": lambda entries: f'{{"{outer}":[{entries}]'.encode(),
        "bytes that are no UTF-8": lambda entries: f'{{"a":"@","{outer}":[{entries}]}}'.encode().replace(b"@", b"\xff"),
        "a control character": lambda entries: f'{{"a":"\x01","{outer}":[{entries}]}}'.encode(),
        "resources that are no list": lambda entries: f'{{"a":[{entries}],"{outer}":{{}}}}'.encode(),
        "a resource that is null": lambda entries: f'{{"{outer}":[null,{entries}]}}'.encode(),
    }  # fmt: skip
    for name, document in documents.items():
        yield rejected(108, name, Signal.LOGS, entries=IN_JSON, document=document)
    for text in ("[]", "null", '"str"', "7", "true", " "):
        document = _just(text)
        yield rejected(
            108, text, Signal.LOGS, entries="", document=document, alone="it is no object"
        )
    many = ",".join(f'"{number:x}":0' for number in range(500_000))
    ignored: dict[str, Write] = {
        "500 000 unknown names": lambda entries: f'{{{many},"{outer}":[{entries}]}}'.encode(),
        "spaces around": around(" \r\n\t", "\n "),
        "null for what is not given": lambda entries: f'{{"resource_logs":null,"x":null,"{outer}":[{entries}]}}'.encode(),
        "names with underscores": lambda entries: f'{{"resource_logs":[{{"a":7}}],"{outer}":[{entries}]}}'.encode(),
    }  # fmt: skip
    for name, document in ignored.items():
        yield Case(
            number=108,
            name=name,
            signal=Signal.LOGS,
            end=Accepted(stored=LOGS),
            entries=IN_JSON,
            document=document,
        )
    told = IN_JSON.replace('"timeUnixNano"', '"time_unix_nano": 5, "unknown": [{}], "timeUnixNano"')
    yield accepted_json(108, "unknown names in an item", told, LOGS)
    named = IN_JSON.replace(
        '"timeUnixNano"', '"severityNumber": "SEVERITY_NUMBER_INFO", "timeUnixNano"'
    )
    yield rejected(
        108,
        "the name of an enum's value",
        Signal.LOGS,
        says="severityNumber must be",
        entries=named,
    )


def _just(text: str) -> Callable[[str], bytes]:
    return lambda _: text.encode()


CASES = [*_noise(), *_media(), *_codings(), *_json()]
