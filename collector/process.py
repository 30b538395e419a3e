"""One process of a daemon, a worker or the API, and the pipe to its supervisor.

The supervisor writes lines to standard input: the settings first (they hold secrets, so they never
travel as arguments), then ``report``, ``drain`` or ``hurry``. The process writes one JSON object per
line to what was its standard output; nothing else can, because descriptor 1 leads to standard error
from the start. The end of standard input means that the supervisor is gone, however it died: the
process stops at once, so that no orphan keeps the port.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from collector.errors import CommandError
from collector.receive.listeners import Sockets
from collector.settings import Settings
from collector.settings.worker import from_worker_json
from collector.telemetry.clock import Clock, SystemClock
from collector.telemetry.logging import configure
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe

REPORT_S: Final = 1.0
"""A process reports this often by itself; a scrape asks for a fresh report."""
REPORT_BACKLOG_BYTES_MAX: Final = 2**20
"""A supervisor that does not read (it is stopped, say) costs no more memory than this."""
ORPHAN_S_MAX: Final = 3.0
"""A process without supervisor ends within this time, whatever its loop is doing."""

GC_YOUNG_MAX: Final = 100_000
"""Containers that may come together before the cycle collector looks at them.

Rows are tuples without cycles, tens of thousands of them wait for COMMIT, and they die by reference
count. Python's own 700 has each of them visited; with this bound hardly any is. Measured on spans,
points and logs of 512 per request: 6 to 13 % less CPU, the same peak of memory.
"""


class Pipe:
    """The two directions between a worker and its supervisor."""

    def __init__(self, lines: asyncio.StreamReader, out: asyncio.WriteTransport) -> None:
        self.lines = lines
        self._out = out

    @classmethod
    async def open(cls, report_fd: int) -> Pipe:
        """Attach standard input and ``report_fd`` to the running loop."""
        loop = asyncio.get_running_loop()
        lines = asyncio.StreamReader(limit=2**20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        out, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(report_fd, "wb"))
        return cls(lines, out)

    def send(self, message: dict[str, Any]) -> None:
        """Write one message, or drop it when the supervisor has stopped reading."""
        if self._out.get_write_buffer_size() < REPORT_BACKLOG_BYTES_MAX:
            self._out.write(orjson.dumps(message) + b"\n")

    def close(self) -> None:
        """Let what was written out and close."""
        self._out.close()


class Served(Protocol):
    """What a process runs: ``app.Daemon`` or ``api_app.ApiDaemon``."""

    @property
    def ports(self) -> dict[str, int]:
        """The ports of the listeners by name."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it can do its work now."""
        ...

    async def start(self) -> None:
        """Return when it listens."""
        ...

    async def wait(self) -> None:
        """Return after ``stop``; raise what ended it before."""
        ...

    async def drain(self, deadline_s: float) -> None:
        """Take nothing new, and finish what is here."""
        ...

    def hurry(self) -> None:
        """Give up what is here."""
        ...

    async def stop(self) -> None:
        """End everything at once."""
        ...

    def sample(self) -> None:
        """Bring the gauges up to date."""
        ...


class Build(Protocol):
    """Makes what a process runs."""

    def __call__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        metrics: Metrics,
        probe: Probe,
        sockets: Sockets | None = None,
    ) -> Served:
        """Return it, not started."""
        ...


class Process:
    """Runs one part of a daemon until it is told to stop, and reports what it counts."""

    def __init__(
        self, build: Build, settings: Settings, pipe: Pipe, sockets: Sockets | None
    ) -> None:
        self._settings = settings
        self._pipe = pipe
        self._metrics = Metrics()
        self._daemon = build(
            settings,
            clock=SystemClock(),
            metrics=self._metrics,
            probe=Probe(),
            sockets=sockets,
        )
        self._draining = asyncio.Event()

    async def run(self) -> None:
        """Start, report, drain, stop.

        Raises:
            CommandError: the daemon could not start, or found a schema that it cannot use.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._draining.set)
        loop.add_signal_handler(signal.SIGINT, self._draining.set)
        listener = asyncio.create_task(self._obey())
        reporter = asyncio.create_task(self._report_regularly())
        try:
            await self._daemon.start()
            self._pipe.send({"listening": self._daemon.ports})
            self._report()
            await self._until_drain()
            await self._daemon.drain(self._settings.ingest.drain_s_max)
        finally:
            await self._daemon.stop()
            self._report()
            for task in (listener, reporter):
                task.cancel()

    async def _until_drain(self) -> None:
        """Return when somebody asks to stop; raise when the daemon ends by itself."""
        asked = asyncio.create_task(self._draining.wait())
        ended = asyncio.create_task(self._daemon.wait())
        try:
            await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await ended
        finally:
            asked.cancel()
            ended.cancel()

    async def _obey(self) -> None:
        orders: dict[bytes, Callable[[], None]] = {
            b"report\n": self._report,
            b"drain\n": self._draining.set,
            b"hurry\n": self._hurry,
        }
        while (line := await self._pipe.lines.readline()).endswith(b"\n"):
            orders[line]()  # a supervisor that is killed may leave half a line
        asyncio.get_running_loop().call_later(ORPHAN_S_MAX, os._exit, 1)
        self._hurry()

    def _hurry(self) -> None:
        self._draining.set()
        self._daemon.hurry()

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            self._report()

    def _report(self) -> None:
        self._daemon.sample()
        self._pipe.send({"snapshot": self._metrics.snapshot(), "ready": self._daemon.ready})


async def _main(build: Build, report_fd: int, name: str, sockets: Sockets | None) -> int:
    pipe = await Pipe.open(report_fd)
    try:
        line = await pipe.lines.readline()
        if not line:
            return 1
        settings = from_worker_json(line.decode())
        configure(settings.telemetry, worker=int(name) if name.isdecimal() else name)
        await Process(build, settings, pipe, sockets).run()
    except CommandError as error:
        pipe.send({"failed": type(error).__name__, "text": str(error)})
        return 1
    finally:
        pipe.close()
    return 0


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's factory where it is installed, asyncio's otherwise."""
    with contextlib.suppress(ModuleNotFoundError):
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(
            "uvloop"
        ).new_event_loop
        return factory
    return asyncio.new_event_loop


def main(build: Build) -> None:
    """Be the process whose name is the first argument; the second, if any, is a folder of sockets."""
    report_fd = os.dup(1)
    os.dup2(2, 1)
    gc.freeze()  # what is imported stays, and needs no second look
    gc.set_threshold(GC_YOUNG_MAX)
    gc.enable()  # off since the process began, see ``worker``
    _, name, *paths = sys.argv
    sockets = Sockets.within(Path(paths[0])) if paths else None
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        sys.exit(runner.run(_main(build, report_fd, name, sockets)))
