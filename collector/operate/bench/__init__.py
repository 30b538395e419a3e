"""What this machine can do: the daemon's throughput, latency and memory beside raw COPY.

Decision: the figure that counts is a *ratio*, committed items per second divided by what
PostgreSQL takes when the same rows come by raw binary COPY into the same tables, measured in turns
within one run, because machines and their neighbours differ more than versions of otlpg do. The
generator, the daemon and PostgreSQL share the machine, as they would on a small one; the report
holds the CPU seconds of each, so that a larger machine can be reckoned.
"""

from __future__ import annotations

from collector.operate.bench.options import PARTS, BenchOptions
from collector.operate.bench.run import run

__all__ = ["PARTS", "BenchOptions", "run"]
