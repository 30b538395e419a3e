"""The rounds: begun on time, a bounded number of them under way, each told when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from collector.errors import CommandError
from collector.operate.verify.backlog import Backlog, Unread
from collector.operate.verify.delivery import Sender
from collector.operate.verify.doors import Door
from collector.operate.verify.grpc_door import GrpcDoor
from collector.operate.verify.http_door import HttpDoor
from collector.operate.verify.judge import ALARMS, End, Finding, judge, judge_request
from collector.operate.verify.look import AWAY_S_MAX, Looker
from collector.operate.verify.marked import Marked, Marker, mark
from collector.operate.verify.options import Options, Protocol
from collector.operate.verify.pause import Pause
from collector.operate.verify.tally import Report, Result, Tally
from collector.rows import Signal
from collector.store.pool import Database
from collector.telemetry.logging import Trouble

if TYPE_CHECKING:
    from collector.operate.access import Access
    from collector.settings import DatabaseSettings
    from collector.telemetry.clock import Clock
    from collector.telemetry.metrics import VerifyMetrics

ROUNDS_IN_FLIGHT_MAX: Final = 8
"""While the daemon is away rounds wait for their deadline; more than these are not begun."""
CONNECTIONS_MAX: Final = 4
APP_NAME: Final = "otlpg-verify"
"""Not the daemon's, whose reaper ends its own connections."""


class Canary:
    """One run. ``tell`` gets a report at each interval; ``run`` returns the one of the whole."""

    def __init__(
        self,
        options: Options,
        database: DatabaseSettings,
        *,
        run_id: str,
        access: Access,
        clock: Clock,
        rng: Random,
        metrics: VerifyMetrics,
        tell: Callable[[Report], None],
        away_s_max: float = AWAY_S_MAX,
    ) -> None:
        self._options = options
        self._run_id = run_id
        self._access = access
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._tell = tell
        self._away_s_max = away_s_max
        self._began_unix_nano = clock.unix_ns()
        self._pause = Pause()
        self._tally = Tally(metrics, clock)
        self._trouble = Trouble("otlpg.verify", clock)
        self._database = Database(
            database.model_copy(
                update={
                    "app_name": APP_NAME,
                    "connections_min": 1,
                    "connections_max": CONNECTIONS_MAX,
                }
            )
        )
        self._looker = Looker(
            self._database,
            visible_within_s=options.visible_within_s,
            clock=clock,
            pause=self._pause,
        )
        self._backlog = Backlog(self._looker, self._pause, self._settle)
        self._senders: dict[Protocol, Sender] = {}
        self._rounds: set[asyncio.Task[None]] = set()
        self._failure: CommandError | None = None

    @property
    def tally(self) -> Tally:
        """What was seen so far."""
        return self._tally

    def readiness(self) -> dict[str, bool]:
        """Return whether the last request was acknowledged, and whether rows could be read."""
        return {"acknowledged": self._tally.was_acknowledged, "read": self._tally.was_read}

    async def run(self) -> Report:
        """Run rounds until their number or time is over, or ``end``; then await those under way.

        Raises:
            CommandError: the role may not read, or the schema is not one of ours.
            SettingsError: an address or a certificate cannot be used.
        """
        try:
            for protocol in self._options.protocols:
                self._senders[protocol] = self._sender(protocol)
            async with asyncio.TaskGroup() as tasks:
                reporter = tasks.create_task(self._report_regularly())
                again = tasks.create_task(self._look_again())
                await self._begin_rounds(tasks)
                while self._rounds:
                    await asyncio.wait(self._rounds)
                again.cancel()
                await asyncio.wait([again])
                await self._look_a_last_time()
                reporter.cancel()
        finally:
            for sender in self._senders.values():
                await sender.door.close()
            await self._database.stop()
        if self._failure is not None:
            raise self._failure
        return self._tally.report(summary=True)

    def end(self) -> None:
        """Begin no further round, attempt or look. What is under way ends by itself."""
        self._pause.end()

    def hurry(self) -> None:
        """End at once; rounds under way are not counted."""
        self.end()
        self._backlog.give_up()
        for task in self._rounds:
            task.cancel()

    # -- rounds ------------------------------------------------------------------------------------

    async def _begin_rounds(self, tasks: asyncio.TaskGroup) -> None:
        """Begin a round at each tick; a tick that comes too late, or finds no room, is let go."""
        began_s = self._clock.monotonic_s()
        number = 0
        while not self._pause.ended:
            if len(self._rounds) < ROUNDS_IN_FLIGHT_MAX:
                number += 1
                task = tasks.create_task(self._round(number))
                self._rounds.add(task)
                task.add_done_callback(self._round_ended)
                self._metrics.rounds_in_flight.set(len(self._rounds))
            else:
                self._tally.skip_round()
            passed_s = self._clock.monotonic_s() - began_s
            tick = passed_s // self._options.every_s + 1
            wait_s = tick * self._options.every_s - passed_s
            is_last = number == self._options.rounds
            if self._options.run_s is not None and passed_s + wait_s >= self._options.run_s:
                is_last = True
            if is_last or await self._pause.ended_within(wait_s):
                return

    def _round_ended(self, task: asyncio.Task[None]) -> None:
        self._rounds.discard(task)
        self._metrics.rounds_in_flight.set(len(self._rounds))

    async def _round(self, number: int) -> None:
        protocol = self._options.protocol_of(number)
        marker = Marker(
            instance=self._options.instance,
            run=self._run_id,
            number=number,
            began_unix_nano=self._began_unix_nano,
            now_unix_nano=self._clock.unix_ns(),
        )
        try:
            after_letter = None
            if self._options.has_bad_item(number):
                after_letter = await self._looker.last_letter()
            async with asyncio.TaskGroup() as requests:
                tasks = [
                    requests.create_task(
                        self._request(
                            mark(signal, marker, with_bad_item=after_letter is not None),
                            self._senders[protocol],
                            after_letter if signal is Signal.TRACES else None,
                        )
                    )
                    for signal in Signal
                ]
        except* CommandError as group:
            self._failure = self._failure or _first(group)
            self.end()
        else:
            results = [task.result() for task in tasks]
            self._tally.end_round(results, protocol)
            for result in results:
                if result.is_open:
                    self._backlog.add(
                        Unread(
                            result.signal,
                            marker,
                            protocol,
                            result.delivery,
                            after_letter if result.signal is Signal.TRACES else None,
                        )
                    )
                self._complain(marker, protocol, result)

    async def _request(self, marked: Marked, sender: Sender, after_letter: int | None) -> Result:
        """Send one request, look for it, and in some rounds do both once more."""
        began_s = self._clock.monotonic_s()
        body = sender.door.encode(marked.request)
        delivery = await sender.deliver(marked.signal, body)
        acknowledged = delivery.told == "acknowledged"
        seen = await self._looker.see(
            marked,
            acknowledged=acknowledged,
            after_letter=after_letter,
            away_s_max=self._away_s_max,
        )
        visible_s = self._clock.monotonic_s() - began_s
        findings = judge_request(marked, seen, delivery.told, after_letter)
        is_open = acknowledged and seen is None
        result = Result(marked.signal, delivery, findings, visible_s, is_open)
        if not result.is_good:
            return result._replace(visible_s=None)
        if not self._options.repeats(marked.marker.number):
            return result
        self._metrics.repeats.add(1, marked.signal)
        repeated = await sender.deliver(marked.signal, body)
        if repeated.told == "rejected":
            findings = judge(marked.items, None, repeated.told)
            return result._replace(delivery=repeated, findings=findings)
        again = await self._looker.see(
            marked, acknowledged=True, after_letter=after_letter, away_s_max=self._away_s_max
        )
        findings = judge_request(marked, again, delivery.told, after_letter)
        return result._replace(findings=findings, is_open=again is None)

    # -- what could not be read at once -------------------------------------------------------------

    async def _look_again(self) -> None:
        try:
            await self._backlog.run()
        except CommandError as error:
            self._failure = self._failure or error
            self.end()

    async def _look_a_last_time(self) -> None:
        try:
            await self._backlog.finish()
        except CommandError as error:
            self._failure = self._failure or error

    def _settle(self, unread: Unread, findings: list[Finding]) -> None:
        """Count what became of items whose round is over long since."""
        result = Result(unread.signal, unread.delivery, findings, None)
        self._tally.end_items(result)
        self._complain(unread.marker, unread.protocol, result)

    # -- what is told ------------------------------------------------------------------------------

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._options.report_every_s)
            self._tell(self._tally.report())

    def _complain(self, marker: Marker, protocol: Protocol, result: Result) -> None:
        """Log what went wrong, an example of each kind and interval, with all that finds it."""
        where = {
            "signal": str(result.signal),
            "round": marker.number,
            "run": marker.run,
            "trace_id": marker.trace_id.hex(),
            "sent_at_unix_nano": marker.now_unix_nano,
            "protocol": str(protocol),
            "attempts": result.delivery.attempts,
            "code": result.delivery.code,
            "detail": result.delivery.detail,
        }
        for finding in result.findings:
            if finding.end in ALARMS:
                self._trouble.error(
                    "broken promise", finding.end, item=finding.key, found=finding.found, **where
                )
            elif finding.end in {End.REFUSED, End.UNREAD, End.UNHEARD}:
                self._trouble.warn("not verified", finding.end, item=finding.key, **where)

    def _sender(self, protocol: Protocol) -> Sender:
        door: Door
        if protocol is Protocol.GRPC:
            door = GrpcDoor(self._options.grpc_endpoint, self._access)
        else:
            door = HttpDoor(self._options.http_endpoint, protocol, self._access)
        return Sender(
            protocol=protocol,
            door=door,
            options=self._options,
            clock=self._clock,
            rng=self._rng,
            pause=self._pause,
            metrics=self._metrics,
        )


def _first(group: BaseExceptionGroup[CommandError]) -> CommandError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CommandError)
    return error
