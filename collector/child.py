"""One worker process as its supervisor sees it: spawned, told, listened to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from collector import errors
from collector.settings import Settings
from collector.settings.worker import to_worker_json
from collector.telemetry.metrics import Snapshot

SCRAPE_S_MAX: Final = 0.5
"""A worker that does not report within this time is shown with its last report."""
REPORT_AGE_S_MAX: Final = 5.0
"""Workers report every second; one that was silent for so long is frozen, and not ready."""
MESSAGE_BYTES_MAX: Final = 2**24
ALLOCATOR: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(8 * 2**20),
}
"""Environment of the workers, for glibc: keep the memory of usual bodies for the next ones.

Otherwise each body is given back to the kernel and comes back as fresh pages, zeroed one by one:
4 to 5 % of a worker's CPU. What is larger goes back at once. An operator's own values win.
"""
QUIET_CORE: Final = {"GRPC_VERBOSITY": "NONE"}
"""Environment of the workers, for gRPC core: it writes a line of its own to standard error, which is
no JSON, for each malformed header that a sender thinks of. What matters the call's status says."""


class Child:
    """One life of one worker process, as its supervisor sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ports: dict[str, int] | None = None
        self.snapshot: Snapshot = {}
        self.failure: errors.CommandError | None = None
        self._said_ready_s: float | None = None  # when it last reported that its store is up
        self._reported = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether its latest report, not older than ``REPORT_AGE_S_MAX``, says so."""
        said_s = self._said_ready_s
        return said_s is not None and time.monotonic() - said_s <= REPORT_AGE_S_MAX

    @classmethod
    async def spawn(cls, command: Sequence[str], settings: Settings) -> Child:
        """Start a process in a session of its own, so that Ctrl-C reaches only the supervisor."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MESSAGE_BYTES_MAX,
            start_new_session=True,
            env={**ALLOCATOR, **QUIET_CORE, **os.environ},
        )
        child = cls(process)
        child.tell(to_worker_json(settings))
        return child

    def tell(self, line: str) -> None:
        """Write one line to the worker; a worker that is gone does not hear it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def listen(self, on_message: Callable[[], None]) -> int:
        """Take in the worker's messages until it ends; return its exit status."""
        assert self.process.stdout is not None
        while (line := await self.process.stdout.readline()).endswith(b"\n"):
            self._take(orjson.loads(line))  # a worker that is killed may leave half a line
            on_message()
        self._said_ready_s = None
        self._reported.set()
        return await self.process.wait()

    async def report(self) -> None:
        """Ask for a fresh snapshot and return when it is here, or after ``SCRAPE_S_MAX``."""
        self._reported.clear()
        self.tell("report")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SCRAPE_S_MAX):
                await self._reported.wait()

    def _take(self, message: dict[str, Any]) -> None:
        if "snapshot" in message:
            self.snapshot = message["snapshot"]
            self._said_ready_s = time.monotonic() if message["ready"] else None
            self._reported.set()
        elif "listening" in message:
            self.ports = message["listening"]
        elif "failed" in message:
            self.failure = getattr(errors, message["failed"])(message["text"])
