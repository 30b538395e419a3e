"""Measure how fast convert is: ``.venv/bin/python -m tests.unit.convert.speed``.

Non-repeating requests of the bench's load, one process, CPU time: how much of a core is left for
sending and storing. No test looks at it, since a busy machine is no defect.
"""

from __future__ import annotations

import sys
import time

from collector.operate.bench.load import LoadPlan
from collector.rows import Signal
from tests.unit.convert.converting import converter

ITEMS, ROUNDS = 40_000, 4


def requests(signal: Signal, size: int, seed: int) -> list[bytes]:
    """Return requests of ``size`` items; other seeds share attributes and series, but no request."""
    plan = LoadPlan(
        signal, items=ITEMS, items_per_request=size, seed=seed, now_unix_ns=time.time_ns()
    )
    return plan.requests()


def cpu_us_per_item(signal: Signal, earlier: list[bytes], payloads: list[bytes]) -> float:
    """Return the CPU time of the best of some rounds, by a converter that saw ``earlier``."""
    now_ns = time.time_ns()
    best = float("inf")
    for _ in range(ROUNDS):
        one = converter()
        for payload in earlier:
            one.convert(signal, payload, digest=b"d" * 16, now_ns=now_ns)
        started = time.process_time()
        for payload in payloads:
            one.convert(signal, payload, digest=b"d" * 16, now_ns=now_ns)
        best = min(best, time.process_time() - started)
    return best / ITEMS * 1e6


def main() -> None:
    """Print a line per signal and size of request."""
    for signal in Signal:
        for size in (512, 100, 10):
            payloads = requests(signal, size, seed=1)
            cost = cpu_us_per_item(signal, requests(signal, 512, seed=2), payloads)
            item_bytes = sum(map(len, payloads)) // ITEMS
            sys.stdout.write(
                f"{signal:8} {size:4} per request, {item_bytes:4} bytes each: "
                f"{cost:6.2f} us, {1e6 / cost:9,.0f}/s\n"
            )


if __name__ == "__main__":
    main()
