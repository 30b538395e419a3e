"""The fuzzer's process: atheris chooses bytes by the coverage of our Python, ``Judge`` judges them.

Started by ``tests.fuzz.run``, which has the PostgreSQL and reads the report. Inputs are numbered
(``Case.to_numbered``): the first byte is the door. A finding does not end the run: it is saved, and
the next input is tried; of findings that end at the same line, the smallest is kept.

protobuf and the JSON parser are C and give no coverage; what convert does with their results does.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

if TYPE_CHECKING:
    from tests.fuzz.case import Case
    from tests.fuzz.judge import Judge

INPUT_BYTES_MAX = 2**13
SLOW_S = 1.0
"""Processor time of a turn here, where every line reports its coverage; ``run`` measures it again
without, and has the limit of a turn."""

OTHERS_MAX = 500


@dataclass(slots=True)
class Report:
    """What one process did; written as JSON when its time is over."""

    executions: int = 0
    elapsed_s: float = 0.0
    processor_s: float = 0.0
    copied_rows: int = 0
    slowest_s: float = 0.0
    slowest_case: str = ""
    verdicts: Counter[str] = field(default_factory=Counter[str])
    findings: dict[str, str] = field(default_factory=dict[str, str])  # where it ends -> file


class Fuzzer:
    """Holds the loop, the judge and the report of the one process.

    Args:
        judge: with its listener and database, both of this loop.
        loop: runs while one input is judged.
        folder: where findings, slow cases and the report go.
        end_s: on the monotonic clock.
    """

    def __init__(
        self, judge: Judge, loop: asyncio.AbstractEventLoop, folder: Path, end_s: float
    ) -> None:
        self._judge = judge
        self._loop = loop
        self._folder = folder
        self._began_s = time.monotonic()
        self._end_s = end_s
        self._sizes: dict[str, int] = {}
        self._atheris: Any = None
        self._others: list[bytes] = []
        self.report = Report()

    def one(self, numbered: bytes) -> None:
        """Judge one input; end the process when the time is over."""
        from tests.fuzz.case import Case

        if time.monotonic() >= self._end_s:
            self._finish()
        if not numbered:
            return
        case = Case.from_numbered(numbered)
        self.report.executions += 1
        try:
            judged = self._loop.run_until_complete(self._judge.judge(case))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is what we look for
            self._keep(case, error)
            return
        self.report.verdicts[f"{case.door.encoding} {judged.verdict}"] += 1
        if judged.slowest_s > self.report.slowest_s:
            self.report.slowest_s = judged.slowest_s
            self.report.slowest_case = str(case.save(self._folder / "slow"))
        elif judged.slowest_s > SLOW_S:
            case.save(self._folder / "slow")
        signal = case.door.signal
        if signal is not None and self._judge.is_full(signal):
            self._copy()

    def mutate(self, numbered: bytes, bytes_max: int, seed: int) -> bytes:
        """Return another input, most often by a change that knows what the bytes mean."""
        from tests.fuzz.case import DOORS, Case
        from tests.fuzz.mutate import mutate

        random = Random(seed)
        if not numbered or random.random() < 0.02:
            return bytes([random.randrange(len(DOORS))]) + numbered[1:]
        case = Case.from_numbered(numbered)
        other = self._other(numbered, random)
        if random.random() < 0.2:
            data = self._atheris.Mutate(case.data, max(1, bytes_max - 1))
        else:
            data = mutate(case, random, other=other).data
        return (numbered[:1] + data)[:bytes_max]

    def start(self, arguments: list[str], atheris: Any) -> None:
        """Hand over to atheris, which never returns."""
        self._atheris = atheris
        atheris.Setup(arguments, self.one, custom_mutator=self.mutate)
        atheris.Fuzz()

    def _other(self, numbered: bytes, random: Random) -> bytes:
        """Remember some inputs per door, and return one of the same door."""
        if len(self._others) < OTHERS_MAX:
            self._others.append(numbered)
        else:
            self._others[random.randrange(OTHERS_MAX)] = numbered
        tries = random.choices(self._others, k=12)
        return next((other[1:] for other in tries if other[0] == numbered[0]), b"")

    def _copy(self) -> None:
        from collector.rows import Signal

        for signal in Signal:
            for refusal in self._loop.run_until_complete(self._judge.copy(signal)):
                self._keep(refusal.case, refusal.error)

    def _keep(self, case: Case, error: Exception) -> None:
        """Save a finding, unless a smaller one that ends at the same line is there."""
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        self.report.verdicts["finding"] += 1
        if len(case.data) >= self._sizes.get(where, sys.maxsize):
            return
        self._sizes[where] = len(case.data)
        path = case.save(self._folder / "findings")
        text = "".join(traceback.format_exception(error))
        path.with_suffix(path.suffix + ".txt").write_text(text)
        if before := self.report.findings.get(where):
            Path(before).unlink()
            Path(before + ".txt").unlink()
        self.report.findings[where] = str(path)
        print(f"finding: {where}: {path}", file=sys.stderr, flush=True)  # noqa: T201

    def _finish(self) -> None:
        """Judge what still waits, write the report and end; atheris gives no other way out."""
        self._copy()
        self.report.elapsed_s = time.monotonic() - self._began_s
        self.report.processor_s = time.process_time()
        self.report.copied_rows = self._judge.copied_rows
        report = {name: getattr(self.report, name) for name in Report.__slots__}
        (self._folder / "report.json").write_text(json.dumps(report))
        os._exit(0)


def main() -> None:
    """Run until the time in the second argument; the rest is for libFuzzer."""
    folder, seconds, dsn, *rest = sys.argv[1:]
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["collector"]):
        # Whatever the judge imports, so that these are instrumented as well.
        importlib.import_module("tests.fuzz.judge")

    from collector.settings import DatabaseSettings
    from tests.fuzz.http_door import http_door
    from tests.fuzz.judge import Judge

    loop = asyncio.new_event_loop()
    doors = http_door()  # kept, since it closes when nothing refers to it
    door = loop.run_until_complete(doors.__aenter__())
    judge = Judge(DatabaseSettings(dsn=SecretStr(dsn)), door)
    fuzzer = Fuzzer(judge, loop, Path(folder), time.monotonic() + float(seconds))
    fuzzer.start([sys.argv[0], *rest], atheris)


if __name__ == "__main__":
    main()
