"""The supervisor with workers that follow a script: real processes, real pipes, no database."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from collector import __version__
from collector.errors import OtlpgError, SchemaError
from collector.settings import (
    ApiSettings,
    ReceiveSettings,
    RedisSettings,
    Settings,
    TelemetrySettings,
)
from collector.settings.worker import from_worker_json
from collector.supervisor import Supervisor
from collector.telemetry.metrics import Snapshot

PREAMBLE = """
import json, os, signal, sys, time
settings = sys.stdin.readline()
index = int(sys.argv[1])
lives = open(os.path.dirname(__file__) + f"/lives{index}", "a+")
lives.write("x"); lives.flush(); lives.seek(0)
life = len(lives.read())
def say(**message):
    print(json.dumps(message), flush=True)
def report(stored):
    say(snapshot={"otlpg_items_total": [[["logs", "stored"], stored]]}, ready=True)
def obey(stored=0):
    for order in sys.stdin:
        if order == "report\\n":
            report(stored)
        elif order == "drain\\n":
            break
"""
OBEDIENT = "say(listening={'grpc': 4317}); report(0); obey()"

Script = Callable[[str], tuple[str, ...]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write a worker and return the command that runs it."""

    def write(body: str) -> tuple[str, ...]:
        file = tmp_path / "worker.py"
        file.write_text(PREAMBLE + body)
        return (sys.executable, "-S", str(file))

    return write


class Run:
    """A running supervisor."""

    def __init__(self, command: tuple[str, ...], *, workers: int = 1) -> None:
        self.settings = Settings(
            workers=workers,
            receive=ReceiveSettings(grpc_port=0, http_port=0),
            telemetry=TelemetrySettings(port=0),
            api=ApiSettings(enabled=False),
        )
        self.ready = asyncio.Event()
        self.announced: list[dict[str, int]] = []
        self.news = asyncio.Event()
        self.supervisor = Supervisor(
            self.settings,
            on_ready=self._on_ready,
            on_snapshot=self._on_snapshot,
            command=command,
        )
        self.task = asyncio.create_task(self.supervisor.run())

    def _on_ready(self, ports: dict[str, int]) -> None:
        self.announced.append(ports)
        self.ready.set()

    def _on_snapshot(self, _snapshot: Snapshot) -> None:
        self.news.set()

    async def stored(self) -> int:
        """Return the sum over all workers, as /metrics shows it."""
        snapshot = await self.supervisor.scrape()
        return sum(cell[1] for cell in snapshot.get("otlpg_items_total", []))

    async def value(self, name: str) -> int:
        """Return one metric without labels."""
        return sum(cell[1] for cell in (await self.supervisor.scrape()).get(name, []))

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return when a scrape shows ``condition``; tried again at each message of a worker."""
        async with asyncio.timeout(20):
            self.news.clear()
            while not await condition():
                await self.news.wait()
                self.news.clear()


def terminate() -> None:
    """Send ourselves what an operator would send."""
    os.kill(os.getpid(), signal.SIGTERM)


async def terminate_twice(run: Run) -> None:
    """Send the second signal once the first was heard, or the kernel may merge the two."""
    terminate()
    await run.supervisor._stopping.wait()  # pyright: ignore[reportPrivateUsage]
    terminate()
    await run.task


async def test_ready_is_told_once_when_every_worker_listens(script: Script) -> None:
    """With the real ports, in place of the zeros of the settings."""
    with capture_logs() as logged:
        run = Run(script(OBEDIENT), workers=2)
        await run.ready.wait()

        terminate()
        await run.task

    (line,) = [line for line in logged if line["event"] == "listening"]
    assert line["version"] == __version__
    assert line["grpc"] == f"127.0.0.1:{run.announced[0]['grpc']}"
    (ports,) = run.announced
    assert set(ports) == {"grpc", "http", "telemetry"}
    assert all(ports.values())


async def test_settings_reach_a_worker_whole_and_only_by_its_pipe(script: Script) -> None:
    """With the ports that were reserved; the command line holds nothing of them."""
    run = Run(
        script(
            "open(os.path.dirname(__file__) + '/settings', 'w').write(settings)\n"
            "assert len(sys.argv) == 2\n" + OBEDIENT
        )
    )
    await run.ready.wait()
    terminate()
    await run.task

    seen = from_worker_json((Path(run.supervisor._command[-1]).parent / "settings").read_text())  # pyright: ignore[reportPrivateUsage]
    ports = {f"{name}_port": run.announced[0][name] for name in ("grpc", "http")}
    assert seen == run.settings.model_copy(
        update={"receive": run.settings.receive.model_copy(update=ports)}
    )


async def test_a_schema_error_of_a_worker_ends_the_daemon_with_its_text(script: Script) -> None:
    """At the first start no restart can help; the other workers are drained."""
    run = Run(
        script(
            "if index == 0:\n    say(failed='SchemaError', text='run `otlpg migrate up`')\n"
            f"else:\n    {OBEDIENT}"
        ),
        workers=2,
    )

    with pytest.raises(SchemaError, match="otlpg migrate up"):
        await run.task


@pytest.mark.parametrize(
    "failure", ["say(failed='SchemaError', text='run `otlpg migrate up`')", "sys.exit(3)"]
)
async def test_a_worker_that_cannot_start_later_does_not_end_the_daemon(
    script: Script, failure: str
) -> None:
    """The schema may be down for a migration; it is said once, and tried again until it works."""
    with capture_logs() as logged:
        run = Run(
            script(
                "if life == 1:\n    say(listening={'grpc': 1}); report(3); os._exit(9)\n"
                f"elif life < 4:\n    {failure}\n"
                f"else:\n    {OBEDIENT}"
            )
        )

        async def it_serves_again() -> bool:
            return await run.value("otlpg_worker_restarts_total") == 3 and await run.stored() == 3

        await run.until(it_serves_again)
        terminate()
        await run.task

    (line,) = [line for line in logged if line["event"] == "worker cannot start"]
    assert line["worker"] == 0
    assert "otlpg migrate up" in line["error"] or "ended with 3" in line["error"]
    assert [line["status"] for line in logged if line["event"] == "worker died"] == [9]


async def test_a_worker_that_dies_before_it_listens_ends_the_start(script: Script) -> None:
    """A crash at import would otherwise be repeated for ever, with nobody to see it."""
    run = Run(script("sys.exit(3)"))

    with pytest.raises(OtlpgError, match="worker 0 ended with 3"):
        await run.task


async def test_a_worker_that_ignores_every_order_is_killed(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second signal bounds the time, whatever the worker does."""
    monkeypatch.setattr("collector.supervisor.HURRY_S_MAX", 0.05)
    run = Run(script("say(listening={'grpc': 1}); signal.pause()"))
    await run.ready.wait()

    with capture_logs() as logged:
        await terminate_twice(run)

    events = [line["event"] for line in logged]
    assert events == [
        "draining",
        "hurrying",
        "worker did not stop in time and is killed",
        "stopped",
    ]


async def test_a_worker_that_ends_as_it_is_killed_is_no_trouble(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop may have reaped it a moment ago, and says so by an error."""
    kill = asyncio.subprocess.Process.kill

    def too_late(process: asyncio.subprocess.Process) -> None:
        kill(process)
        raise ProcessLookupError

    monkeypatch.setattr(asyncio.subprocess.Process, "kill", too_late)
    monkeypatch.setattr("collector.supervisor.HURRY_S_MAX", 0.05)
    run = Run(script("say(listening={'grpc': 1}); signal.pause()"), workers=2)
    await run.ready.wait()

    with capture_logs() as logged:
        await terminate_twice(run)

    killed = [line["worker"] for line in logged if line["event"].endswith("is killed")]
    assert sorted(killed) == [0, 1]


async def test_counts_of_a_dead_worker_stay_and_half_a_line_does_no_harm(script: Script) -> None:
    """It counted 5, was killed in the middle of a report, and its successor counted 2."""
    run = Run(
        script(
            "say(listening={'grpc': 1})\n"
            "if life == 1:\n"
            "    report(5)\n"
            "    sys.stdin.readline()\n"
            "    print('{\"snapshot\": {\"otlpg_it', end='', flush=True)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "report(2); obey(2)"
        )
    )
    await run.ready.wait()
    seen: list[int] = []

    async def both_counted() -> bool:
        seen.append(await run.stored())
        return seen[-1] == 7

    await run.until(both_counted)
    restarts = await run.value("otlpg_worker_restarts_total")
    terminate()
    await run.task

    assert seen == sorted(seen)
    assert restarts == 1


async def test_a_worker_that_keeps_dying_is_restarted_ever_more_slowly(script: Script) -> None:
    """And the daemon still ends at once when it is told to."""
    with capture_logs() as logged:
        run = Run(script("say(listening={'grpc': 1}); report(1)"))

        async def four_lives() -> bool:
            return await run.value("otlpg_worker_restarts_total") >= 3

        await run.until(four_lives)
        terminate()
        await run.task

    pauses = [line["restart_s"] for line in logged if line["event"] == "worker died"]
    assert pauses[:3] == [0.1, 0.2, 0.4]


async def test_a_worker_that_does_not_report_is_shown_with_its_last_report(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape never waits longer than its limit."""
    monkeypatch.setattr("collector.child.SCRAPE_S_MAX", 0.05)
    run = Run(
        script(
            "say(listening={'grpc': 1}); report(4)\n"
            "while sys.stdin.readline() not in ('drain\\n', ''):\n    pass"
        )
    )
    await run.ready.wait()

    async def four() -> bool:
        return await run.stored() == 4

    await run.until(four)
    shown_again = await run.stored()
    terminate()
    await run.task

    assert shown_again == 4


async def no_room(*_command: str, **_options: Any) -> asyncio.subprocess.Process:
    """Fail as the system does when descriptors are used up."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_a_worker_is_started_once_there_is_room_for_it_again(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors or processes are used up when it dies: no reason for the daemon to end."""
    first_life = "if life == 1:\n    say(listening={'grpc': 4317}); report(3); os._exit(9)\n"
    run = Run(script(first_life + OBEDIENT))
    spawn = asyncio.create_subprocess_exec
    spawned = 0

    async def spawn_once_and_again_later(*command: str, **options: Any) -> Any:
        nonlocal spawned
        spawned += 1
        return await (no_room if spawned in {2, 3} else spawn)(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn_once_and_again_later)

    async def it_serves_again() -> bool:
        restarts = await run.value("otlpg_worker_restarts_total")
        return restarts == 3 and await run.value("otlpg_workers") == 1

    await run.until(it_serves_again)

    assert await run.stored() == 3  # counted in its first life
    terminate()
    await run.task


async def test_no_room_for_the_first_worker_ends_the_start(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts the daemon is told why, in one line."""
    monkeypatch.setattr(asyncio, "create_subprocess_exec", no_room)

    with pytest.raises(OtlpgError, match="worker 0 cannot start: Too many open files"):
        await Run(script(OBEDIENT)).task


@pytest.mark.parametrize(
    ("redis", "jaeger", "warned"),
    [
        (None, True, "no live tails without Redis, and Jaeger reads at its own port alone"),
        (None, False, "no live tails without Redis"),
        ("redis://localhost", True, "Jaeger reads at its own port alone"),
        ("redis://localhost", False, ""),
    ],
)
def test_a_folder_for_sockets_is_made_and_missed_only_where_one_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis: str | None, jaeger: bool, warned: str
) -> None:
    """By live tails without Redis, and by Jaeger at the port of OTLP; the warning says by which."""
    settings = Settings(
        redis=RedisSettings(url=None if redis is None else SecretStr(redis)),
        api=ApiSettings(jaeger_grpc=jaeger),
    )
    supervisor = Supervisor(settings, on_ready=lambda _: None)
    folders: list[Path | None] = []
    with capture_logs() as logged, ExitStack() as held:
        for temporary in (tmp_path, Path("/dev/null/nowhere")):
            monkeypatch.setattr(tempfile, "tempdir", str(temporary))
            folders.append(supervisor._make_sockets(held))  # pyright: ignore[reportPrivateUsage]

    assert [folder is not None for folder in folders] == [bool(warned), False]
    assert [line["event"] for line in logged] == (
        [f"{warned}: there is no folder for a socket"] if warned else []
    )
