"""The official Jaeger v2 as a subprocess, with otlpg as its storage."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode

from collector.operate.bench.query.jaeger import OWN_TRACES_OFF
from tests.interop.waiting import free_port, wait_until

CONFIG = Path(__file__).with_name("jaeger.yaml")
START_S_MAX = 30.0


class Jaeger:
    """One Jaeger on loopback: OTLP in at ``port``, its API at ``http_port``."""

    def __init__(self, binary: Path, folder: Path, *, storage_at: int) -> None:
        self.port = free_port()
        self.http_port = free_port()
        self._command = [str(binary), "--config", str(CONFIG)]
        self._environment = {
            **os.environ,
            **OWN_TRACES_OFF,
            "STORAGE_AT": f"127.0.0.1:{storage_at}",
            "RECEIVE_AT": f"127.0.0.1:{self.port}",
            "HTTP_AT": f"127.0.0.1:{self.http_port}",
            "GRPC_AT": f"127.0.0.1:{free_port()}",
        }
        self._log = folder / "jaeger.log"
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it and return when its API answers."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=log, stderr=log
            )
        try:
            await wait_until(self._ready, what="Jaeger is ready", within_s=START_S_MAX)
        except BaseException:
            await self.kill()
            raise

    async def kill(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def get(self, path: str, **parameters: str) -> Any:
        """Return the JSON that its API answers with; ``__`` in a name is a dot.

        Raises:
            HTTPError: it answered with an error.
        """
        named = {name.replace("__", "."): value for name, value in parameters.items()}
        url = f"http://127.0.0.1:{self.http_port}{path}?{urlencode(named)}"
        return await asyncio.to_thread(_json_at, url)

    def log_text(self) -> str:
        """Return the end of its log, for a human."""
        return self._log.read_text()[-4_000:]

    async def _ready(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise RuntimeError(f"Jaeger ended:\n{self.log_text()}")
        try:
            await self.get("/api/services")
        except URLError:
            return False
        return True


def _json_at(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as reply:
        return json.load(reply)
