"""operate.bench.processes: a child of a benchmark ends, whether it obeys or not."""

from __future__ import annotations

import signal
import subprocess
import sys

from collector.operate.bench.processes import end

STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"
)
OBEDIENT = "print(flush=True); input()"


def child(code: str) -> subprocess.Popen[bytes]:
    """Return a child that has come as far as to wait for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def test_a_child_is_asked_to_end() -> None:
    """And asked once: the second time there is nothing to end."""
    process = child(OBEDIENT)

    end(process, 60)
    end(process, 60)
    end(None, 60)

    assert process.returncode == -signal.SIGTERM
    assert process.stdin is not None
    process.stdin.close()


def test_a_child_that_does_not_obey_is_killed() -> None:
    """Once its time is up."""
    process = child(STUBBORN)

    end(process, 0.05)

    assert process.returncode == -signal.SIGKILL
    assert process.stdin is not None
    process.stdin.close()
