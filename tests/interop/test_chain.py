"""telemetrygen -> otel-collector -> otlpg -> PostgreSQL, with nothing in the way."""

from __future__ import annotations

import asyncio

import pytest

from collector.rows import Signal
from tests.interop.chain import Chain
from tests.interop.conftest import SHAPES
from tests.interop.telemetrygen import METRIC_TYPES, logs, metrics, traces

pytestmark = pytest.mark.interop

POINTS_PER_TYPE = """
    SELECT type, count(*) FROM metric_data_points
    JOIN metric_series USING (series_id) JOIN metrics USING (metric_id) GROUP BY type
"""


@pytest.mark.parametrize("shape", SHAPES)
async def test_everything_sent_is_stored_once(chain: Chain) -> None:
    """Every item of every signal and metric type arrives, and all books agree."""
    points = [metrics(400, kind) for kind in METRIC_TYPES]
    items = {Signal.TRACES: 2_000, Signal.METRICS: 1_600, Signal.LOGS: 1_500}

    await chain.telemetrygen.send(traces(400, children=4), *points, logs(1_500))

    await chain.assert_holds_exactly(items)
    by_type = dict(await chain.stored.rows(POINTS_PER_TYPE))
    assert by_type == dict.fromkeys(METRIC_TYPES.values(), 400)
    for signal, number in items.items():
        books = await asyncio.to_thread(chain.otlpg.items, signal)
        assert books["received"] == books["stored"] + books["duplicate"], signal
        assert books["stored"] == number, signal
