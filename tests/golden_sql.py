"""Golden files of generated SQL: what a repository asks, kept where a diff shows it.

``OTLPG_REGOLD=1`` writes the files anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from collector.query.statement import Statement

FOLDER = Path(__file__).parent / "golden" / "sql"
_BREAKS = re.compile(
    r" (?=(?:FROM|WHERE|AND|ORDER BY|GROUP BY|LIMIT|LEFT JOIN|CROSS JOIN|JOIN|UNION ALL|SELECT)\b)"
)


def check_golden(name: str, statement: Statement) -> None:
    """Fail unless ``golden/sql/<name>.sql`` is this statement, a clause on each line."""
    path = FOLDER / f"{name}.sql"
    text = _BREAKS.sub("\n", statement.sql) + "\n"
    if os.environ.get("OTLPG_REGOLD"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, f"{path.name} differs; OTLPG_REGOLD=1 writes it anew"
