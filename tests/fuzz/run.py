"""``make fuzz``: a PostgreSQL of its own, one fuzzing process, and what came of it.

Everything goes into a folder, by default ``.cache/fuzz``: ``corpus`` (inputs that reached new
code, kept from run to run), ``findings`` (each with its traceback), ``slow``, and the report. Exit
status 1 if there is a finding.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from collector.store.embedded import EmbeddedPostgres
from tests.conftest import QUICK, TEMPLATE, make_template
from tests.fuzz.case import Case, load, load_all
from tests.fuzz.fuzz_convert import INPUT_BYTES_MAX
from tests.fuzz.oracle import TURN_S_MAX, Oracle

CASE_S_MAX = 60
"""libFuzzer ends the run when one input takes longer."""

MEMORY_MIB_MAX = 1_536
GRACE_S = 120.0


def main() -> int:
    """Fuzz for a while, report on stdout, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=720.0)
    parser.add_argument("--folder", type=Path, default=Path(".cache/fuzz"))
    parser.add_argument("--seed", type=int, default=0, help="0: another one at each run")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.absolute()
    before = _prepare(folder)
    server_folder = Path(tempfile.mkdtemp(prefix="otlpg-fuzz-"))
    server_folder.chmod(0o711)  # started by root, PostgreSQL runs as somebody else
    server = EmbeddedPostgres(parameters=QUICK)
    server.start(server_folder / "server")
    try:
        asyncio.run(make_template(server))
        status = _fuzz(folder, arguments.seconds, server.dsn(TEMPLATE), arguments.seed)
    finally:
        server.stop("immediate")
        shutil.rmtree(server_folder)
    return _tell(folder, before, status)


def _prepare(folder: Path) -> int:
    """Empty what belongs to one run, add our own corpus, and return how many inputs there are."""
    for name in ("findings", "slow"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("findings", "slow", "corpus"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "report.json").unlink(missing_ok=True)
    for name, case in load_all():
        (folder / "corpus" / name).write_bytes(case.to_numbered())
    return len(list((folder / "corpus").iterdir()))


def _fuzz(folder: Path, seconds: float, dsn: str, seed: int) -> int:
    command = [
        *(sys.executable, "-m", "tests.fuzz.fuzz_convert", str(folder), str(seconds), dsn),
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={CASE_S_MAX}",
        f"-rss_limit_mb={MEMORY_MIB_MAX}",
        f"-seed={seed}",
        "-verbosity=0",
        f"-artifact_prefix={folder}/findings/ended-the-process-",
        str(folder / "corpus"),
    ]
    with (folder / "log").open("w") as log:
        done = subprocess.run(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=seconds + GRACE_S,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
    return done.returncode


def _tell(folder: Path, before: int, status: int) -> int:
    """Print the figures; return 1 if something was found."""
    inputs = list((folder / "corpus").iterdir())
    new = _export(folder, inputs)
    if status or not (folder / "report.json").exists():
        print((folder / "log").read_text()[-4_000:])  # noqa: T201
        print(f"the fuzzing process ended with {status}; its last words are above")  # noqa: T201
        return 1
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    slow = _slow_turns(folder / "slow")
    rate = report["executions"] / report["elapsed_s"]
    findings: dict[str, str] = report["findings"]
    lines = [
        f"executions        {report['executions']} in {report['elapsed_s']:.0f} s, {rate:.0f} each second",
        f"processor         {report['processor_s']:.0f} s, {report['executions'] / report['processor_s']:.0f} executions each second of it",
        f"corpus            {len(inputs)} inputs, {sum(p.stat().st_size for p in inputs)} bytes, {len(inputs) - before} new of this run in {new}",
        f"rows in COPY      {report['copied_rows']}, read back and compared",
        f"longest turn      {max(slow.values(), default=0.0):.3f} s of processor time (limit {TURN_S_MAX})",
        *(f"  {count:9} {name}" for name, count in sorted(report["verdicts"].items())),
        f"findings          {len(findings)}",
        *(f"  {where}: {path}" for where, path in findings.items()),
    ]
    too_slow = {name: spent_s for name, spent_s in slow.items() if spent_s > TURN_S_MAX}
    lines += [f"  a turn of {spent_s:.3f} s: {name}" for name, spent_s in too_slow.items()]
    print("\n".join(lines))  # noqa: T201
    return 1 if findings or too_slow else 0


def _export(folder: Path, inputs: list[Path]) -> Path:
    """Write the inputs of the run as corpus files, to be looked at and kept; return the folder."""
    exported = folder / "candidates"
    shutil.rmtree(exported, ignore_errors=True)
    exported.mkdir()
    known = {case for _, case in load_all()}
    for path in inputs:
        numbered = path.read_bytes()
        if numbered and (case := Case.from_numbered(numbered)) not in known:
            case.save(exported)
    return exported


def _slow_turns(folder: Path) -> dict[str, float]:
    """Return the longest turn of each slow case, measured again where nothing is instrumented."""
    found: dict[str, float] = {}
    for path in folder.iterdir():
        tries = [Oracle(weighs=False).judge(load(path)).slowest_s for _ in range(2)]
        found[str(path)] = min(tries)
    return found


if __name__ == "__main__":
    sys.exit(main())
