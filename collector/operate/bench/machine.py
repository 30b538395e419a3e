"""Where the figures were taken, and how a run ends when it is told to."""

from __future__ import annotations

import platform
import signal as os_signals
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil


@contextmanager
def sigterm_as_interrupt() -> Generator[None]:
    """Let SIGTERM end the block like Ctrl-C, so that no server of ours is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = os_signals.signal(os_signals.SIGTERM, interrupt)
    try:
        yield
    finally:
        os_signals.signal(os_signals.SIGTERM, before)


def about_machine() -> dict[str, Any]:
    """Return where and with what the figures are taken."""
    packages = ("otlpg", "asyncpg", "grpcio", "protobuf", "orjson")
    return {
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": psutil.cpu_count(),
            "memory_mib": psutil.virtual_memory().total // 2**20,
        },
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
    }


def processor() -> str:
    """Return the processor's name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
