"""The catalogue of bad inputs, tried on a real daemon with a real PostgreSQL.

Every case goes by every transport that can say it (gRPC, HTTP with protobuf, HTTP with JSON), alone
and in the middle of 9 999 good items (the latter by one transport in `make test`, by all in `make
fault`); there is a test module per transport, so that they run side by
side. After each run: what had to be stored comes back exactly, what was repaired or quarantined lies
in ``dead_letters``, the good items are stored exactly once, the answer tells nothing of our inside,
the same worker still runs and serves the next good request in time, and its memory stays within one
bound. At the end the log is read: no line is long or steers a terminal.

To add a case, add one entry to the module of its section. ``coverage`` says where each number of the
catalogue is proven, here or elsewhere, and what is left out: redaction, keys, queries.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.catalogue import metrics, strings, structure, times, values, wire
from tests.catalogue.case import Transport, runs

CASES = [
    *strings.CASES,
    *values.CASES,
    *structure.CASES,
    *times.CASES,
    *metrics.CASES,
    *wire.CASES,
]
RUNS = runs(CASES)


def runs_by(way: Transport) -> list[Any]:
    """Return the runs of one transport, each a parameter of a test; see ``Run.is_long``."""
    return [
        pytest.param(run, marks=[pytest.mark.long] if run.is_long else [])
        for run in RUNS
        if run.way is way
    ]
