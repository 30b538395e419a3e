"""Where the programs of interop are kept, and how they get there: whole, once, by one process."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

STEP_S_MAX = 600.0


class MissingBinariesError(RuntimeError):
    """A program is not there and cannot be had; a missing service fails, it never skips."""


def cache_root() -> Path:
    """Return the folder of all programs, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "otlpg" / "interop"


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Be the only process that makes ``folder``; others wait."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_step(
    title: str,
    command: list[str],
    folder: Path,
    *,
    timeout_s: float = STEP_S_MAX,
    **environment: str,
) -> None:
    """Run one step in ``folder``, with its title and its output on stderr.

    Raises:
        MissingBinariesError: it failed, or took longer than ``timeout_s``.
    """
    say(title)
    try:
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=sys.stderr,
            check=True,
            timeout=timeout_s,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise MissingBinariesError(f"{title}: {error}") from error


def say(line: str) -> None:
    """Tell the operator something."""
    sys.stderr.write(f"interop: {line}\n")
    sys.stderr.flush()
