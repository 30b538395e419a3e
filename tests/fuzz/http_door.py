"""The HTTP listener under whatever bytes one connection may send: the real one, over loopback.

Behind it a request is read and converted, and answered without a database, which has no part in
what is looked for here: a head, a body or a coding that ends in anything but an orderly answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from collector.convert.request import Converter
from collector.errors import WrongSignalError
from collector.receive.auth import Gate
from collector.receive.export import Ack, Export, Read, Transcode
from collector.receive.http_server import HttpServer
from collector.receive.turns import Turns
from collector.rows import Signal
from collector.settings import ConvertSettings, ReceiveSettings, TlsSettings
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from tests.strategies import NOW_UNIX_NANO, RETENTION

STATUSES = frozenset({100, 200, 400, 404, 405, 413, 415, 431})
"""What a sender may hear here: nothing can be busy, so there is no 429 and no 503."""

ANSWER_BYTES_MAX = 4_096
ANSWER_S_MAX = 10.0
QUIET_S = 0.03
_STATUS_LINE = re.compile(rb"(?:\A|\r\n\r\n.*?)HTTP/1\.[01] ([0-9]{3}) ", re.DOTALL)


class _Converting(Export):
    """Takes every request as far as its rows."""

    def __init__(self) -> None:
        self._converter = Converter(ConvertSettings(), retention_s=RETENTION.total_seconds())

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
        """Read, convert, and answer as if it were stored."""
        del left_s, body_bytes_max, connection, credential_id
        body = await read()
        if transcode is not None:
            body = await transcode(body)
        converted = self._converter.convert(signal, body, digest=bytes(16), now_ns=NOW_UNIX_NANO)
        if converted.wrong_signal:
            raise WrongSignalError(signal, converted.items)
        return Ack(message="kept" if converted.quarantined else "")


class HttpDoor:
    """A listener of its own; each case is one connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def judge(self, data: bytes) -> str:
        """Send ``data`` and return the last answer's status as a word.

        Raises:
            AssertionError: the answer is none that a sender can deal with.
            TimeoutError: there was no end to it.
        """
        async with asyncio.timeout(ANSWER_S_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(data)
                answer = await _read_answer(reader, writer)
            except ConnectionError:  # it had heard enough, and we were still talking
                return "cut off"
            finally:
                writer.close()
        statuses = [int(status) for status in _STATUS_LINE.findall(answer)]
        assert set(statuses) <= STATUSES, f"answered with {statuses}"
        assert len(answer) <= ANSWER_BYTES_MAX * max(1, len(statuses))
        assert b"Traceback" not in answer
        return str(statuses[-1]) if statuses else "closed"


async def _read_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Return all that comes until the listener ends the connection.

    It does so after an answer to ``connection: close``. Where it waits for more, nothing comes for
    a while, and then we leave: for it that is a sender that went away, and it says no more.
    """
    answer = b""
    try:
        async with asyncio.timeout(QUIET_S):
            while part := await reader.read(2**16):
                answer += part
            return answer
    except TimeoutError:
        writer.write_eof()
    return answer + await reader.read(-1)


@asynccontextmanager
async def http_door() -> AsyncGenerator[HttpDoor]:
    """Lend a listener on a free port of loopback."""
    settings = ReceiveSettings(http_host="127.0.0.1", http_port=0)
    server = HttpServer(
        settings,
        _Converting(),
        gate=Gate(TlsSettings(), None),
        items_max=ConvertSettings().items_max,
        clock=SystemClock(),
        metrics=Metrics(),
        turns=Turns(SystemClock()),
    )
    server.bind()
    running = asyncio.create_task(server.run())
    try:
        await server.listening()
        yield HttpDoor(server.port)
    finally:
        await server.drain(0)
        await running
