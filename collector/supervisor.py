"""``serve``: N worker processes on one port, one place for signals, health and metrics.

Workers are spawned, never forked (gRPC's threads do not survive a fork), even when there is only
one: a worker that dies, by a bug or by the kernel's memory killer, costs its senders a retry and not
the daemon. What workers counted before they died stays in the sums.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import structlog

from collector import __version__, errors
from collector.child import Child
from collector.receive import ports
from collector.receive.listeners import Sockets
from collector.settings import Settings
from collector.telemetry.clock import SystemClock
from collector.telemetry.health import TelemetryServer, build_app, refuse_nobody
from collector.telemetry.logging import Trouble, configure
from collector.telemetry.metrics import Metrics, Snapshot
from collector.telemetry.render import merge, retire

if TYPE_CHECKING:
    from collector.receive.telemetry_gate import TelemetryGate

WORKER_COMMAND: Final = (sys.executable, "-P", "-m", "collector.worker")
API_COMMAND: Final = (sys.executable, "-P", "-m", "collector.reader")
"""-P: a folder named ``collector`` in the working directory must not be imported instead of us."""
API: Final = ports.API
"""Name of the process of the API among the children; workers are called by their numbers."""
RESTART_S_MIN: Final = 0.1
RESTART_S_MAX: Final = 5.0
SETTLED_S: Final = 30.0
"""A worker that lived this long is restarted without delay."""
HURRY_S_MAX: Final = 3.0
"""After the second signal, or past the drain, workers have this long before they are killed."""


class Supervisor:
    """Keeps the workers of one daemon alive and speaks for all of them."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_ready: Callable[[dict[str, int]], None] | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._settings = settings
        self._command = command
        self._on_ready = on_ready
        self._on_snapshot = on_snapshot
        self._children: dict[str, Child] = {}
        self._sockets: Path | None = None
        self._retired: Snapshot = {}
        self._metrics = Metrics()
        self._log = structlog.stdlib.get_logger("otlpg.supervisor")
        self._trouble = Trouble("otlpg.supervisor", SystemClock())
        self._gate: TelemetryGate | None = None
        self._ports: dict[str, int] = {}
        self._announced = False
        self._api_failed = False  # once, at least
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._failure: errors.OtlpgError | None = None

    async def run(self) -> None:
        """Serve until a signal asks to stop; return when every worker is gone.

        Raises:
            CommandError: a port is taken, a certificate cannot be used, or a worker cannot start and
                none has been announced yet.
        """
        self._gate = _gate_of(self._settings, self._metrics)
        if self._gate is not None:
            await self._gate.start()
        with contextlib.ExitStack() as held:
            reserved = ports.reserve(self._settings, held)
            self._ports = {name: port.port for name, port in reserved.items()}
            self._settings = ports.with_ports(self._settings, self._ports)
            if API in reserved:
                self._sockets = self._make_sockets(held)
            held.enter_context(self._signals_caught())
            await self._serve(reserved["telemetry"].sockets)
        if self._failure is not None:
            raise self._failure

    async def _serve(self, listeners: list[socket.socket]) -> None:
        gate = self._gate
        app = build_app(self.scrape, self._readiness, refuse=gate.refuse if gate else refuse_nobody)
        http = TelemetryServer(app, gate.accept if gate else None)
        async with asyncio.TaskGroup() as tasks:
            guarding = tasks.create_task(gate.run()) if gate else None
            serving = tasks.create_task(http.run_on(listeners))
            keepers = [
                tasks.create_task(self._keep(str(index))) for index in range(self._settings.workers)
            ]
            if self._settings.api.enabled:
                keepers.append(tasks.create_task(self._keep(API)))
            stopper = tasks.create_task(self._stop_children())
            await asyncio.wait(keepers)
            stopper.cancel()
            http.stop()
            await asyncio.wait((serving,))
            if guarding is not None:
                guarding.cancel()
        self._log.info("stopped")

    # -- signals and the end ---------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals_caught(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal, number.name)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _on_signal(self, name: str) -> None:
        """Drain on the first signal, hurry on the second.

        Two equal ones in the same moment are one: the kernel keeps no count of those that wait.
        """
        if self._stopping.is_set():
            self._log.warning("hurrying", signal=name)
            self._hurrying.set()
        else:
            self._log.info("draining", signal=name)
            self._stopping.set()

    async def _stop_children(self) -> None:
        """Take the workers down once asked: drain, then hurry, then kill."""
        await self._stopping.wait()
        self._tell_all("drain")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.ingest.drain_s_max + HURRY_S_MAX):
                await self._hurrying.wait()
        self._tell_all("hurry")
        await asyncio.sleep(HURRY_S_MAX)
        for name, child in self._children.items():
            self._log.error(
                f"{_kind(name)} did not stop in time and is killed", worker=_label(name)
            )
            with contextlib.suppress(ProcessLookupError):  # it ended at this very moment
                child.process.kill()

    def _tell_all(self, order: str) -> None:
        for child in self._children.values():
            child.tell(order)

    # -- the processes ---------------------------------------------------------------------------

    async def _keep(self, name: str) -> None:
        """Run process ``name``, and run it again whenever it dies, until the daemon stops."""
        delay_s = RESTART_S_MIN
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began_s = loop.time()
            end = await self._run_child(name)
            if self._stopping.is_set():
                return
            if loop.time() - began_s > SETTLED_S:
                delay_s = RESTART_S_MIN
            self._tell_end(name, end, delay_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stopping.wait()
            delay_s = min(delay_s * 2, RESTART_S_MAX)
            if name == API:
                self._metrics.api_restarts.add(1)
            else:
                self._metrics.worker_restarts.add(1)

    async def _run_child(self, name: str) -> int | errors.OtlpgError:
        """Return the exit status of one life that listened, or why it could not start.

        At the first start there may be nobody but us to tell, so a failure of a worker ends the
        daemon. Later its cause may pass: descriptors are used up, or a migration has the schema
        half-way. Without the API ingest goes on.
        """
        try:
            child = await Child.spawn(self._command_of(name), self._settings)
        except OSError as error:  # descriptors, processes, memory: others may give them back
            return self._not_started(
                name, errors.OtlpgError(f"{_called(name)} cannot start: {error.strerror}")
            )
        self._children[name] = child
        if self._stopping.is_set():  # the order to drain came while it was spawned
            child.tell("drain")
        try:
            status = await child.listen(self._on_message)
        finally:
            del self._children[name]
            self._retired = merge((self._retired, retire(child.snapshot)))
        if child.failure is not None:
            return self._not_started(name, child.failure)
        if child.ports is None:
            return self._not_started(
                name, errors.OtlpgError(f"{_called(name)} ended with {status} before it listened")
            )
        return status

    def _command_of(self, name: str) -> list[str]:
        command = API_COMMAND if name == API else self._command
        paths = [] if self._sockets is None else [str(self._sockets)]
        return [*command, name, *paths]

    def _make_sockets(self, held: contextlib.ExitStack) -> Path | None:
        """Return where workers and the API meet, a folder for this user alone; None: they need none."""
        lost: dict[str, str] = {}
        if self._settings.redis.url is None:
            lost["redis.url"] = "no live tails without Redis"
        if self._settings.api.jaeger_grpc:
            lost["api.jaeger_grpc"] = "Jaeger reads at its own port alone"
        if not lost:
            return None
        try:
            folder = Path(held.enter_context(TemporaryDirectory(prefix="otlpg-")))
            for path in Sockets.within(folder):
                with socket.socket(socket.AF_UNIX) as tried:  # too long a path, too odd a disk
                    tried.bind(str(path))
                path.unlink()
        except OSError as error:
            self._log.warning(
                f"{', and '.join(lost.values())}: there is no folder for a socket",
                error=error.strerror or str(error),
                setting=next(iter(lost)),
            )
            return None
        return folder

    def _not_started(self, name: str, failure: errors.OtlpgError) -> errors.OtlpgError:
        """Return ``failure``; of a worker, until the daemon has announced itself, it also ends all."""
        if name == API:
            self._api_failed = True
            self._announce_once()
        elif not self._announced:
            self._give_up(failure)
        return failure

    def _tell_end(self, name: str, end: int | errors.OtlpgError, restart_s: float) -> None:
        """Log how a life ended: each death, but the same failure to start once per interval."""
        if isinstance(end, int):
            self._log.error(
                f"{_kind(name)} died", worker=_label(name), status=end, restart_s=restart_s
            )
        else:
            self._trouble.error(
                f"{_kind(name)} cannot start",
                type(end).__name__,
                worker=_label(name),
                error=str(end),
                restart_s=restart_s,
            )

    def _give_up(self, failure: errors.OtlpgError) -> None:
        """Stop for good, and raise ``failure`` once every worker is gone."""
        if self._failure is None and not self._stopping.is_set():
            self._failure = failure
        self._stopping.set()

    # -- what they say ---------------------------------------------------------------------------

    def _on_message(self) -> None:
        self._announce_once()
        if self._on_snapshot is not None:
            self._on_snapshot(self._sum())

    def _announce_once(self) -> None:
        """Say that the daemon listens: every worker does, and the API does or cannot."""
        if self._announced or not self._all_listen():
            return
        api = self._children.get(API)
        if self._settings.api.enabled and not self._api_failed and (api is None or not api.ports):
            return
        self._announced = True
        self._log.info(
            "listening",
            version=__version__,
            workers=self._settings.workers,
            **ports.addresses(self._settings, self._ports),
        )
        if self._on_ready is not None:
            self._on_ready(dict(self._ports))

    def _workers(self) -> list[Child]:
        return [child for name, child in self._children.items() if name != API]

    def _all_listen(self) -> bool:
        workers = self._workers()
        return len(workers) == self._settings.workers and all(child.ports for child in workers)

    def _readiness(self) -> dict[str, bool]:
        workers = self._workers()
        return {
            "listening": self._all_listen(),
            "store": bool(workers) and all(child.ready for child in workers),
            "serving": not self._stopping.is_set(),
        }

    async def scrape(self) -> Snapshot:
        """Return the sum over all workers, living and gone, as of now."""
        await asyncio.gather(*(child.report() for child in self._children.values()))
        return self._sum()

    def _sum(self) -> Snapshot:
        self._metrics.workers.set(len(self._workers()))
        if self._gate is not None:
            self._gate.sample()
        living = [child.snapshot for child in self._children.values()]
        return merge((self._retired, *living, self._metrics.snapshot()))


def _gate_of(settings: Settings, metrics: Metrics) -> TelemetryGate | None:
    """Return what guards the telemetry; None without keys and certificate.

    Most daemons on a machine of one's own have neither, and start without the driver of PostgreSQL
    and the rest that a gate imports: a tenth of what a supervisor's start costs.
    """
    if not settings.auth.keys and not settings.tls.on:
        return None
    from collector.receive.telemetry_gate import TelemetryGate

    return TelemetryGate(settings, clock=SystemClock(), metrics=metrics)


def _kind(name: str) -> str:
    return "API" if name == API else "worker"


def _label(name: str) -> int | str:
    """Return what log lines call a process: as its own lines do."""
    return name if name == API else int(name)


def _called(name: str) -> str:
    return "the API" if name == API else f"worker {name}"


def serve(
    settings: Settings,
    *,
    on_ready: Callable[[dict[str, int]], None] | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
) -> int:
    """Run the daemon until SIGTERM or SIGINT and return the exit code; blocks.

    ``on_ready`` is called once, with the real ports, when every worker listens; PostgreSQL may
    still be away then. ``on_snapshot`` is called about once a second with the sum of all counters.
    Both run inside the loop and must return at once.

    Raises:
        SettingsError: a port is taken or an address is not ours.
        SchemaError: the schema is older than the one that this version needs.
    """
    configure(settings.telemetry)
    asyncio.run(Supervisor(settings, on_ready=on_ready, on_snapshot=on_snapshot).run())
    return 0
