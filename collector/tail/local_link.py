"""Messages between the workers of one daemon and its API, without Redis: over a Unix socket.

The API listens in a folder that only this user can enter; the supervisor makes it, and tells both
sides. Workers connect, and learn at once who listens. A frame is one byte for the signal, four for
the length, and a message; back come lines: ``listen logs,traces``, ``hello logs``, and ``alive``, so
that an API that hangs is known to be away, whose kernel takes connections and messages all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from pathlib import Path
from typing import Final

from collector.errors import LinkError
from collector.rows import Signal

SEND_S_MAX: Final = 0.5
"""An API that reads nothing for so long is away."""

ALIVE_S: Final = 1.0
SILENCE_S_MAX: Final = 5.0
"""An API that has not said anything for so long is away, too."""

ANSWER_S_MAX: Final = 2.0
"""So is one that says nothing to who connects."""

UNREAD_BYTES_MAX: Final = 2**16
"""Of lines that a worker does not read; then it is cut off."""

FRAME_BYTES_MAX: Final = 2**26
WAITING_MESSAGES_MAX: Final = 256
"""Messages that a feed has not looked at; the oldest goes first, and its number tells."""

_HEAD: Final = struct.Struct(">BI")
_SIGNALS: Final = tuple(Signal)


@contextlib.contextmanager
def _as_link_errors() -> Generator[None]:
    try:
        yield
    except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
        raise LinkError(f"the API of this daemon: {type(error).__name__}") from error


async def read_frame(frames: asyncio.StreamReader) -> tuple[Signal, bytes]:
    """Return the next frame's signal and message.

    Raises:
        ValueError: something else was sent; nothing that comes behind it can be read.
        EOFError: there is no more.
    """
    number: int
    size: int
    number, size = _HEAD.unpack(await frames.readexactly(_HEAD.size))
    if number >= len(_SIGNALS) or size > FRAME_BYTES_MAX:
        raise ValueError("no frame of a worker")
    return _SIGNALS[number], await frames.readexactly(size)


class LocalPublisherLink:
    """A worker's end."""

    retry_s_max = 0.25
    """The API is on this machine, and its restart is no news to wait for."""
    patience_s = 5.0
    """An API starts beside its workers, and takes a second or two longer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._listened: frozenset[Signal] | None = None  # None: not told yet
        self._failed = False
        self._line = b""  # the last one that the API said

    def wanted(self, signal: Signal) -> bool:
        """Whether the API has readers of the signal; not while it is away."""
        if self._listened is None:
            return not self._failed
        return signal in self._listened

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Be connected inside the block, with an API that has answered."""
        try:
            with _as_link_errors():
                async with asyncio.timeout(ANSWER_S_MAX):
                    self._streams = await asyncio.open_unix_connection(self._path)
                    self._line = await self._streams[0].readuntil()
            yield
        finally:
            self._failed, self._listened = True, None
            if self._streams is not None:
                self._streams[1].transport.abort()
                self._streams = None

    async def watch(self, greet: Callable[[Sequence[Signal]], None]) -> None:
        """Obey the lines that the API sends."""
        assert self._streams is not None
        lines, _ = self._streams
        while True:
            with _as_link_errors():
                order, _, names = self._line.decode().rstrip("\n").partition(" ")
                signals = [Signal(name) for name in names.split(",") if name]
            if order == "listen":
                before, self._listened = self._listened or frozenset(), frozenset(signals)
                greet([signal for signal in signals if signal not in before])
            elif order == "hello":
                greet([signal for signal in signals if self.wanted(signal)])
            with _as_link_errors():
                async with asyncio.timeout(SILENCE_S_MAX):
                    self._line = await lines.readuntil()

    async def send(self, signal: Signal, body: bytes) -> None:
        """Write a frame, and wait while the API is behind."""
        assert self._streams is not None
        _, writer = self._streams
        with _as_link_errors():
            writer.write(_HEAD.pack(_SIGNALS.index(signal), len(body)) + body)
            async with asyncio.timeout(SEND_S_MAX):
                await writer.drain()


class LocalServer:
    """The API's end, for all signals and workers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._workers: set[asyncio.StreamWriter] = set()
        self._known: set[asyncio.StreamWriter] = set()  # of them, who sent a message
        self._feeds: dict[Signal, LocalSubscriberLink] = {}

    async def run(self) -> None:
        """Listen until cancelled.

        Raises:
            OSError: the socket cannot be made.
        """
        server = await asyncio.start_unix_server(self._serve, self._path)
        try:
            while True:
                await asyncio.sleep(ALIVE_S)
                self._tell("alive", names="")
        finally:
            server.close()  # nobody waits for its end: that waits for the workers
            for writer in list(self._workers):
                writer.transport.abort()

    async def _serve(self, frames: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the frames of one worker until it leaves."""
        self._workers.add(writer)
        self._tell("listen", writer)
        try:
            while True:
                signal, body = await read_frame(frames)
                self._known.add(writer)
                feed = self._feeds.get(signal)
                if feed is not None:
                    feed.take(body)
        except (OSError, EOFError, ValueError):
            return  # it has left, was cut off, or is no worker
        finally:
            self._workers.discard(writer)
            self._known.discard(writer)
            writer.transport.abort()

    def _tell(self, order: str, *writers: asyncio.StreamWriter, names: str | None = None) -> None:
        """Send a line; a worker that reads none of them is cut off."""
        text = ",".join(signal.value for signal in self._feeds) if names is None else names
        for writer in writers or tuple(self._workers):
            if writer.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
                writer.transport.abort()
            elif not writer.is_closing():
                writer.write(f"{order} {text}\n".encode())

    # -- for the links ---------------------------------------------------------------------------

    def attach(self, feed: LocalSubscriberLink) -> None:
        """Let a feed have the messages of its signal from now on."""
        self._feeds[feed.signal] = feed
        self._tell("listen")

    def detach(self, feed: LocalSubscriberLink) -> None:
        """Let it have no more."""
        del self._feeds[feed.signal]
        self._tell("listen")

    def hello(self, signal: Signal) -> int:
        """Ask whoever is connected for a greeting; return how many have ever sent a message.

        The others may be strangers.
        """
        self._tell("hello", names=signal.value)
        return len(self._workers & self._known)


class LocalSubscriberLink:
    """The API's end, for one signal."""

    def __init__(self, server: LocalServer, signal: Signal) -> None:
        self.signal = signal
        self._server = server
        self._waiting: deque[bytes] = deque(maxlen=WAITING_MESSAGES_MAX)
        self._wake = asyncio.Event()

    def take(self, body: bytes) -> None:
        """Take in a message; the oldest one goes when too many wait."""
        self._waiting.append(body)
        self._wake.set()

    @contextlib.asynccontextmanager
    async def subscribed(self) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Listen inside the block."""
        self._server.attach(self)
        try:
            yield self._messages()
        finally:
            self._server.detach(self)
            self._waiting.clear()

    async def _messages(self) -> AsyncIterator[bytes]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                yield self._waiting.popleft()

    async def hello(self) -> int:
        """Ask every worker for a greeting."""
        return self._server.hello(self.signal)
