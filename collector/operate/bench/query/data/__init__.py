"""A week of telemetry: one day is built, converted and stored by otlpg, the others are its copies.

Fifty services, of which the first has 9 % of all spans and log records and the last 0.7 %; two
instances each. What the signals are like stands in ``spans``, ``logs`` and ``points``.

The last day ends when the bench begins, on a full minute. Day ``n`` before it is the same with all
times ``n`` times 24 h earlier and with the first byte of each trace and span id XORed with ``n``,
made by PostgreSQL (``copies``): spans, their events, the rows of ``traces`` and the log records of a
trace go on belonging together. Services, series and words are the same on all days.

What it lacks of a real week: nights, quiet hours, new series, links between traces, exemplars.
"""

from __future__ import annotations

from collector.operate.bench.query.data.shape import Shape

__all__ = ["Shape"]
