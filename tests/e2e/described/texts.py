"""What the texts of parameters look like, of which the document says no more than a format's name."""

from __future__ import annotations

import time

import schemathesis
from hypothesis import strategies as st

NOW_S = int(time.time())
FORMATS = {
    "otlpg-moment": st.integers(NOW_S - 7_200, NOW_S + 60).map(str)
    | st.sampled_from(["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+02:00", "0", "9" * 19]),
    "otlpg-length": st.sampled_from(["1ms", "30s", "1m", "5m", "1h", "7d", "999999d"]),
    "otlpg-filter": st.sampled_from(["", "service:shop", '"order"', "status:error", "level>=warn"])
    | st.text(max_size=20),
    "otlpg-cursor": st.sampled_from(["WzAsMV0", "WzEsMSwyLDMsMF0", "x"]),
    "otlpg-function": st.sampled_from(["avg", "max", "rate", "count", "p50", "p99.9"]),
    "otlpg-signals": st.sampled_from(["all", "logs", "logs,traces"]),
}

for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)
