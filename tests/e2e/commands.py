"""A command of otlpg as a process, run to its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from collector.settings import DatabaseSettings
from collector.store.pool import resolve_dsn
from tests.e2e.daemon import FOREIGN_SETTINGS


async def otlpg(
    *arguments: str, database: DatabaseSettings | None = None, **variables: str
) -> tuple[int, str, str]:
    """Run a command; return its exit code, standard output and standard error."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_SETTINGS)}
    if database is not None:
        environment["DATABASE_URL"] = resolve_dsn(database)
    environment |= variables
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "collector", *arguments],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr
