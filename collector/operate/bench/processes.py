"""What the machine says of a process tree: CPU seconds, peak memory, who listens; and its end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psutil


def end(process: subprocess.Popen[bytes] | None, wait_s_max: float) -> None:
    """Return once a child of ours has ended; one that does not obey SIGTERM in time is killed.

    Nothing where there is none, or it has ended by itself.
    """
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(wait_s_max)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tree_cpu_s(root: psutil.Process) -> float:
    """Return the CPU seconds of ``root`` and of all it ever started, living or reaped.

    The difference of two readings is the cost of what ran between them, also when children came
    and went: a reaped child's seconds move into its parent's ``children_*``.
    """
    return sum(_cpu_s(process) for process in [root, *root.children(recursive=True)])


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # it ended meanwhile; its parent's next reading counts it
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def peak_rss_bytes(process: psutil.Process) -> int:
    """Return the most memory that ``process`` ever held, where the system keeps it (Linux).

    Elsewhere the present size is returned, a lower bound.

    Spec: proc(5), VmHWM of /proc/pid/status.
    """
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return process.memory_info().rss


def reset_peak_rss(process: psutil.Process) -> None:
    """Let ``peak_rss_bytes`` begin anew, where the system can (Linux).

    Spec: proc(5), value 5 of /proc/pid/clear_refs.
    """
    clear = Path(f"/proc/{process.pid}/clear_refs")
    if clear.exists():
        clear.write_text("5")


def listeners(root: psutil.Process, port: int) -> list[psutil.Process]:
    """Return the processes of a tree that accept connections on ``port``: the workers."""
    return [
        process
        for process in [root, *root.children(recursive=True)]
        if any(
            socket.status == psutil.CONN_LISTEN and socket.laddr.port == port
            for socket in _sockets(process)
        )
    ]


def _sockets(process: psutil.Process) -> list[Any]:
    try:
        return process.net_connections(kind="tcp")
    except psutil.NoSuchProcess:  # it ended meanwhile, and its sockets with it
        return []


def serving_pids(pids: list[int]) -> dict[int, int]:
    """Return which of ``pids`` serves the connection from which port; the last to tell wins."""
    return {
        socket.raddr.port: pid
        for pid in pids
        for socket in _sockets(psutil.Process(pid))
        if socket.raddr
    }
