"""A program on a real pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import pyte

from tests.e2e.daemon import FOREIGN_SETTINGS

WAIT_S_MAX = 30.0
CTRL_C = b"\x03"

_OWN_TERMINAL = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Makes the terminal the one whose Ctrl-C ends the program, which no option of ``Popen`` does."""


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a command, without anything of whoever runs the tests."""
    foreign = (*FOREIGN_SETTINGS, "NO_COLOR", "COLORTERM", "COLUMNS", "LINES")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return {**kept, "TERM": "xterm-256color", "TZ": "UTC", "PYTHONUTF8": "1", **more}


class Terminal:
    """``python -m collector`` on a terminal of its own, emulated by pyte.

    Standard error is the same terminal, as it is for a person.
    """

    def __init__(
        self, words: Sequence[str], *, columns: int = 100, rows: int = 30, **variables: str
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._changed = threading.Condition()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._wake, self._waker = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, "-m", "collector", *words],
            stdin=slave, stdout=slave, stderr=slave,
            env=environment(**variables),
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(WAIT_S_MAX)
        os.write(self._waker, b"x")
        self._reader.join(WAIT_S_MAX)
        for descriptor in (self._master, self._wake, self._waker):
            os.close(descriptor)
        if kind is not None:
            sys.stderr.write(self.text())

    def press(self, keys: bytes) -> None:
        """Type keys."""
        os.write(self._master, keys)

    def resize(self, columns: int, rows: int = 30) -> None:
        """Give the terminal another size."""
        with self._changed:
            self.screen.resize(rows, columns)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self) -> int:
        """Return the exit code, once the program has ended."""
        return self._process.wait(WAIT_S_MAX)

    def until(self, holds: Callable[[], bool]) -> None:
        """Return once it holds of the screen."""
        with self._changed:
            assert self._changed.wait_for(holds, WAIT_S_MAX), self.text()

    def wait_for(self, text: str) -> None:
        """Return once the screen shows a text."""
        self.until(lambda: text in self.text())

    def lines(self) -> list[str]:
        """Return what is on the screen, without the empty lines."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def text(self) -> str:
        """Return the screen as a text."""
        return "\n".join(self.lines())

    def cell(self, text: str) -> Any:
        """Return the cell where this text begins: its letter and its colours."""
        for y, line in enumerate(self.screen.display):
            if (x := line.find(text)) >= 0:
                return self.screen.buffer[y][x]
        raise AssertionError(f"{text!r} is not there:\n{self.text()}")

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._wake in ready:
                return
            try:
                piece = os.read(self._master, 2**16)
            except OSError:  # the program has closed it
                piece = b""
            with self._changed:
                self.raw += piece
                self._stream.feed(piece)
                self._changed.notify_all()
            if not piece:
                return
