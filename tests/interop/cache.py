"""Where the programs of interop are kept, and how they get there: whole, once, by one process."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STEP_S_MAX = 600.0


class MissingBinariesError(RuntimeError):
    """A program is not there and cannot be had; a missing service fails, it never skips."""


def cache_root() -> Path:
    """Return the folder of all programs, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "otlpg" / "interop"


def make_once(
    folder: Path, *, is_complete: Callable[[], bool], fill: Callable[[Path], None]
) -> None:
    """Let ``fill`` make what belongs into ``folder``, unless it is there; whole or not at all.

    One process makes it, others wait for it. ``fill`` gets an empty folder beside it, which takes its
    place in the end.

    Raises:
        MissingBinariesError: of ``fill``.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_complete():
            return
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        began_s = time.monotonic()
        fill(unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        say(f"made in {time.monotonic() - began_s:.0f} s, kept in {folder}")


def find_go(wanted_for: str) -> str:
    """Return the path of Go.

    Raises:
        MissingBinariesError: there is none; says what for it is needed.
    """
    go = shutil.which("go")
    if go is None:
        raise MissingBinariesError(
            f"`make interop` builds {wanted_for} and needs Go 1.26 or newer on PATH (https://go.dev/dl/)"
        )
    return go


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
