"""Write the dashboards' JSON out of ``panels``: `python deploy/grafana/generate.py [FOLDER]`.

Only what differs from Grafana's own defaults is written, so that a change can be read in a diff.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panels import DASHBOARDS, Dashboard, Panel, Variable

POSTGRESQL = {"type": "grafana-postgresql-datasource", "uid": "otlpg-postgresql"}
JAEGER = {"type": "jaeger", "uid": "otlpg-jaeger"}
COLUMNS = 24
SCHEMA_VERSION = 39

TRACE_LINK: dict[str, Any] = {
    "matcher": {"id": "byName", "options": "trace"},
    "properties": [
        {
            "id": "links",
            "value": [
                {
                    "title": "Show the trace",
                    "url": "/d/otlpg-trace?var-trace=${__value.raw}&from=${__from}&to=${__to}",
                }
            ],
        }
    ],
}


def dashboard_of(board: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it."""
    panels = list(trace_panel()) if board.trace else []
    return {
        "uid": board.uid,
        "title": board.title,
        "tags": ["otlpg"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "",
        "links": [{"type": "dashboards", "tags": ["otlpg"], "title": "otlpg", "asDropdown": True,
                   "keepTime": True, "includeVars": True}],
        "templating": {"list": [variable_of(each) for each in board.variables]},
        "panels": placed([*panels, *map(panel_of, board.panels)]),
    }  # fmt: skip


def variable_of(variable: Variable) -> dict[str, Any]:
    """Return a variable: a query, a list, or a text box."""
    named = {"name": variable.name, "label": variable.label}
    if variable.sql:
        return {
            **named, "type": "query", "datasource": POSTGRESQL, "query": variable.sql, "refresh": 2,
            "multi": variable.many, "includeAll": variable.many,
            **({"current": {"text": "All", "value": "$__all"}} if variable.many else {}),
        }  # fmt: skip
    if variable.choices:
        text, value = variable.choices.partition(",")[0].split(" : ")
        return {
            **named, "type": "custom", "query": variable.choices,
            "current": {"text": text, "value": value},
        }  # fmt: skip
    return {**named, "type": "textbox", "query": "", "current": {"text": "", "value": ""}}


def panel_of(panel: Panel) -> dict[str, Any]:
    """Return a panel that shows the answer to its SQL."""
    is_table = panel.kind == "table"
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.stacked:
        defaults["custom"] = {
            "stacking": {"mode": "normal"},
            "drawStyle": "bars",
            "fillOpacity": 70,
        }
    return {
        "type": panel.kind,
        "title": panel.title,
        **({"description": panel.about} if panel.about else {}),
        "gridPos": {"w": panel.width, "h": panel.height},
        "datasource": POSTGRESQL,
        "targets": [
            {
                "refId": "A", "datasource": POSTGRESQL, "editorMode": "code", "rawQuery": True,
                "format": "table" if is_table else "time_series", "rawSql": panel.sql.strip(),
            }
        ],
        "fieldConfig": {
            "defaults": {} if is_table else defaults,
            "overrides": [TRACE_LINK] if is_table and "AS trace" in panel.sql else [],
        },
    }  # fmt: skip


def trace_panel() -> Iterator[dict[str, Any]]:
    """Yield the panel with one trace, from Jaeger's API."""
    yield {
        "type": "traces",
        "title": "Trace",
        "gridPos": {"w": COLUMNS, "h": 18},
        "datasource": JAEGER,
        "targets": [{"refId": "A", "datasource": JAEGER, "query": "${trace}"}],
    }


def placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the panels with numbers and places: from left to right, in rows as high as the highest."""
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        grid = panel["gridPos"]
        if x + grid["w"] > COLUMNS:
            x, y, height = 0, y + height, 0
        panel["id"] = number
        grid |= {"x": x, "y": y}
        x, height = x + grid["w"], max(height, grid["h"])
    return panels


def main() -> None:
    """Write a file for each dashboard."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "dashboards"
    for board in DASHBOARDS:
        text = json.dumps(dashboard_of(board), indent=2) + "\n"
        (folder / f"{board.uid.removeprefix('otlpg-')}.json").write_text(text)


if __name__ == "__main__":
    main()
