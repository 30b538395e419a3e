"""Golden files of Jaeger's JSON: realistic requests, and what Jaeger's API answers once they are rows.

``tests/unit/api/jaeger/test_mapping.py`` compares byte for byte; after a change on purpose, write
them anew with ``.venv/bin/python -m tests.golden.jaeger`` and read the diff.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from collector.api.jaeger.mapping import JaegerTraces
from tests.golden import convert

CASES = ("traces", "odd_values", "quarantined")
FOLDER = Path(__file__).parent / "jaeger"


def path_of(case: str) -> Path:
    """Return the golden file of a case."""
    return FOLDER / f"{case}.json"


def rendered(case: str) -> bytes:
    """Return what the spans of a case are shown as now, as if they were one trace."""
    converted = convert.converted(case)
    trace = JaegerTraces(converted.dimensions).trace_of(converted.rows)
    return orjson.dumps(trace, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    """Write every golden file anew."""
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        path_of(case).write_bytes(rendered(case))
        sys.stdout.write(f"{path_of(case)}\n")


if __name__ == "__main__":
    main()
