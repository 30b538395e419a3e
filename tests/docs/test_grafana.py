"""deploy/grafana: dashboards are what their source says, and every query of theirs finds rows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import yaml

from collector.settings import DatabaseSettings, Settings
from collector.store.pool import Connection
from tests.docs.test_sql import sample_requests, shop_requests, write

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in (GRAFANA / "dashboards").glob("*.json")
}
INTERVAL_S = 60
FACTS = ("trace_spans", "logs", "metric_data_points", "traces", "ingest_ledger")

Values = dict[str, list[str]]


class Query(NamedTuple):
    """A panel's or a variable's SQL, before Grafana has replaced anything in it."""

    board: str
    title: str
    sql: str
    format: str

    @property
    def name(self) -> str:
        """What a failed test is called."""
        return f"{self.board}: {self.title}"


def queries() -> Iterator[Query]:
    """Yield all there are."""
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                if "rawSql" in target:
                    yield Query(name, panel["title"], target["rawSql"], target["format"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Query(name, f"${variable['name']}", variable["query"], "table")


QUERIES = list(queries())


def replaced(sql: str, start: datetime, end: datetime, values: Values) -> str:
    """Return the SQL as Grafana sends it.

    Spec: grafana pkg/tsdb/grafana-postgresql-datasource/macros.go; variables as in "Advanced variable
    format options", ``sqlstring``.
    """
    begin, finish = (f"'{at.isoformat().replace('+00:00', 'Z')}'" for at in (start, end))
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN {begin} AND {finish}", sql)
    sql = re.sub(
        r"\$__timeGroupAlias\(([\w.]+), \$__interval\)",
        rf'floor(extract(epoch from \1)/{INTERVAL_S})*{INTERVAL_S} AS "time"',
        sql,
    )
    sql = sql.replace("$__timeFrom()", begin).replace("$__timeTo()", finish)
    sql = sql.replace("$__interval_ms", str(INTERVAL_S * 1_000))
    for name, chosen in values.items():
        quoted = ",".join("'" + value.replace("'", "''") + "'" for value in chosen)
        sql = sql.replace(f"${{{name}:sqlstring}}", quoted)
        sql = re.sub(rf"\${name}\b", lambda _found, text=chosen: ",".join(text), sql)
    assert "$" not in sql, sql
    return sql


@pytest.fixture
async def stored(database_settings: DatabaseSettings, connection: Connection) -> None:
    """Half an hour of a shop, and what `otlpg send-test` sends."""
    await write(database_settings, connection, *shop_requests(), *sample_requests())
    await connection.execute("ANALYZE")


@pytest.fixture
def last_hour() -> tuple[datetime, datetime]:
    """The range of a dashboard that was just opened, and what may come from sample clocks ahead."""
    now = datetime.now(UTC)
    return now - timedelta(hours=1), now + timedelta(minutes=10)


async def choices(connection: Connection) -> list[Values]:
    """Return what somebody may choose: all services and, in turn, every metric and some traces."""
    services = await connection.fetch(
        "SELECT DISTINCT service_name FROM resources WHERE service_name IS NOT NULL"
    )
    metrics = await connection.fetch("SELECT DISTINCT name FROM metrics")
    traces = await connection.fetch(
        "SELECT DISTINCT encode(trace_id, 'hex') FROM logs WHERE trace_id IS NOT NULL LIMIT 3"
    )
    always: Values = {"service": [row[0] for row in services], "severity": ["0"], "search": [""]}
    return [
        *({**always, "metric": [row[0]], "trace": [traces[0][0]]} for row in metrics),
        *({**always, "metric": [""], "trace": [row[0]]} for row in traces),
    ]


def leaves_in(plan: Any) -> set[str]:
    """Return every relation that a plan reads."""
    if isinstance(plan, list):
        return set[str]().union(*map(leaves_in, cast("list[Any]", plan)))
    if not isinstance(plan, dict):
        return set()
    node = cast("dict[str, Any]", plan)
    own = {node["Relation Name"]} if "Relation Name" in node else set[str]()
    return own.union(*map(leaves_in, node.values()))


def test_the_dashboards_are_those_of_their_source(tmp_path: Path) -> None:
    """Who changes a panel runs ``python deploy/grafana/generate.py``."""
    subprocess.run(
        [sys.executable, str(GRAFANA / "generate.py"), str(tmp_path)], check=True, timeout=60
    )

    made = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert made == BOARDS
    assert {"overview", "logs", "metrics", "ingest", "trace"} == made.keys()
    assert len(QUERIES) >= 20


async def test_every_query_finds_rows(
    stored: None, connection: Connection, last_hour: tuple[datetime, datetime]
) -> None:
    """With what a person can choose; a series has its time and numbers, as Grafana needs them."""
    found: dict[str, int] = {query.name: 0 for query in QUERIES}
    for values in await choices(connection):
        for query in QUERIES:
            rows = await connection.fetch(replaced(query.sql, *last_hour, values))
            found[query.name] += len(rows)
            if query.format == "time_series" and rows:
                shown = dict(rows[0])
                assert float(shown.pop("time")) % INTERVAL_S == 0
                assert isinstance(shown.pop("metric", ""), str), query.name
                assert shown, query.name
                assert not any(isinstance(value, str) for value in shown.values()), query.name

    assert all(found.values()), found


async def test_only_the_leaves_of_the_range_are_read(
    stored: None, connection: Connection, last_hour: tuple[datetime, datetime]
) -> None:
    """Whatever is shown: days that were not asked for cost nothing."""
    start, end = last_hour
    for parent in FACTS:
        await connection.execute(
            "SELECT otlpg_make_leaf($1, now() - interval '6 days', 24)", parent
        )
    leaves = await connection.fetch(
        "SELECT leaf FROM otlpg_leaves() WHERE parent = ANY($1)"
        " AND (ends_at < to_timestamp($2) - interval '2 days' OR"
        "      starts_at > to_timestamp($3) + interval '1 day'"
        "      OR parent IN ('trace_spans', 'logs', 'metric_data_points')"
        "         AND (ends_at <= to_timestamp($2) OR starts_at > to_timestamp($3)))"
        " AND leaf <> 'ingest_ledger_sentinel'",
        list(FACTS), start.timestamp(), end.timestamp(),
    )  # fmt: skip
    others = {row[0] for row in leaves}
    assert {"trace_spans", "logs", "metric_data_points"} <= {
        name.partition("_p2")[0] for name in others
    }

    [values, *_] = await choices(connection)
    read: set[str] = set()
    for query in QUERIES:
        plan = await connection.fetchval(
            "EXPLAIN (FORMAT JSON) " + replaced(query.sql, start, end, values)
        )
        scanned = leaves_in(json.loads(plan))
        assert not scanned & others, query.name
        read |= scanned
    assert {name.partition("_p2")[0] for name in read} >= set(FACTS)


async def test_what_is_typed_is_a_value(
    stored: None, connection: Connection, last_hour: tuple[datetime, datetime]
) -> None:
    """A search, a service or a trace with quotes in it finds nothing, and does nothing."""
    hostile = ["'; DROP TABLE logs; --", 'a"\\']
    values: Values = {
        "service": hostile, "metric": hostile[:1], "search": hostile[:1], "trace": hostile[:1],
        "severity": ["0"],
    }  # fmt: skip
    for query in QUERIES:
        if "{" in query.sql:
            assert await connection.fetch(replaced(query.sql, *last_hour, values)) == []


def test_what_is_referred_to_is_provisioned() -> None:
    """Data sources by their uid and type, dashboards by theirs, and every variable by compose."""
    text = (GRAFANA / "provisioning" / "datasources" / "otlpg.yaml").read_text()
    sources = {(each["type"], each["uid"]) for each in yaml.safe_load(text)["datasources"]}
    compose = yaml.safe_load((GRAFANA / "compose.yaml").read_text())["services"]["grafana"]

    boards = json.dumps(BOARDS)
    used = set(re.findall(r'"type": "([\w-]+)", "uid": "(otlpg-\w+)"', boards))
    linked = set(re.findall(r"/d/([\w-]+)\?", boards))
    assert used == sources
    assert linked == {"otlpg-trace"}
    assert linked <= {board["uid"] for board in BOARDS.values()}
    assert set(re.findall(r"\$(SOURCE_\w+)", text)) <= compose["environment"].keys()
    assert compose["environment"]["SOURCE_JAEGER_URL"].endswith(f":{Settings().api.port}")
    assert all(port.startswith("127.0.0.1:") for port in compose["ports"])


@pytest.mark.parametrize("name", BOARDS)
def test_panels_stand_beside_each_other(name: str) -> None:
    """None lies on another, each has a number of its own, and none is wider than the grid."""
    panels = BOARDS[name]["panels"]
    cells = [
        (x, y)
        for each in panels
        for x in range(each["gridPos"]["x"], each["gridPos"]["x"] + each["gridPos"]["w"])
        for y in range(each["gridPos"]["y"], each["gridPos"]["y"] + each["gridPos"]["h"])
    ]

    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({each["id"] for each in panels}) == len(panels)
