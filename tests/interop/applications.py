"""Applications that send numbered spans through a real SDK, each a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.daemon import FOREIGN_SETTINGS
from tests.interop import node

SPANS_PER_S = 20
"""Modest: 512 a batch and 2 048 in the SDK's queue are never the reason for a loss."""
STOP_S_MAX = 150.0
"""An SDK's shutdown sends what waits, batch after batch, each for as long as its patience."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Sender:
    """One row of the table: which SDK, over what, and with which settings."""

    name: str
    language: str  # python or js
    protocol: str  # http or grpc
    settings: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def service(self) -> str:
        """Its ``service.name``, by which its spans are found again."""
        return self.name

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        if self.language == "python":
            return [sys.executable, "-m", "tests.interop.send_spans"]
        return [str(node.find().program), str(node.PACKAGES / "send_spans.cjs")]


class Application:
    """A running sender; inside ``async with`` it sends, and ``stop`` shuts it down."""

    def __init__(self, sender: Sender, endpoint: str, log: Path) -> None:
        self.sender = sender
        self._endpoint = endpoint
        self._log = log
        self._process: Process | None = None

    async def start(self) -> None:
        """Start to send ``SPANS_PER_S``, the first batch after a fifth of a second."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_SETTINGS)}
        if self.sender.language == "js":
            environment["NODE_PATH"] = str(node.find().modules)
        environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self._endpoint,
            "OTEL_SERVICE_NAME": self.sender.service,
            "OTEL_BSP_SCHEDULE_DELAY": "200",  # so that many batches meet the outage, not one
            "PROTOCOL": self.sender.protocol,
            "SPANS_PER_S": str(SPANS_PER_S),
            **self.sender.settings,
        }
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.sender.command(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env=environment,
                cwd=ROOT,
            )

    async def stop(self) -> int:
        """Shut it down as an application ends, and return how many spans it made."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(STOP_S_MAX):
            said, _ = await self._process.communicate()
        assert self._process.returncode == 0, self._log.read_text()[-2_000:]
        return int(said)

    async def kill(self) -> None:
        """End it at once; safe in every state."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()
