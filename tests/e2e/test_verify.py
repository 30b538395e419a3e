"""`otlpg verify` beside a real daemon: silent when all is well, red for each way it can be wrong."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from collector.operate.access import Access
from collector.operate.verify.canary import Canary
from collector.operate.verify.judge import End
from collector.operate.verify.marked import SERVICE_NAME
from collector.operate.verify.options import Options, Protocol
from collector.operate.verify.tally import Report
from collector.settings import DatabaseSettings
from collector.store.embedded import EmbeddedPostgres
from collector.store.pool import Connection
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import VerifyMetrics
from tests.e2e.commands import otlpg
from tests.e2e.daemon import POLL_S, Daemon
from tests.e2e.verifying import Verifying
from tests.fault.proxy import wire_to

ROOT = Path(__file__).parents[2]
EARLY_ACK = ROOT / "tests" / "fault" / "controls" / "early_ack"
SPANS, POINTS, RECORDS = 2, 5, 2
ITEMS = SPANS + POINTS + RECORDS
"""Of one round."""


async def run_to_end(
    daemon: Daemon, database: DatabaseSettings, *options: str
) -> tuple[int, Verifying]:
    """Return the exit code of a run that ends by itself, and what it said."""
    with Verifying(daemon, database, *options) as verifying:
        return await asyncio.to_thread(verifying.wait), verifying


def get(url: str) -> str:
    """Return what is served there with status 200."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


async def until(holds: Callable[[], bool], running: asyncio.Task[Report]) -> None:
    """Return once it holds; fail when the run is over before."""
    async with asyncio.timeout(60):
        while not holds():
            assert not running.done(), await running
            await asyncio.sleep(POLL_S)


async def sabotage(connection: Connection, table: str, body: str, when: str = "BEFORE") -> None:
    """Let the server itself spoil rows of ``table`` inside the daemon's own transactions."""
    await connection.execute(
        f"CREATE FUNCTION spoil_{table}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ BEGIN {body} END $$;"
        f"CREATE TRIGGER spoil {when} INSERT ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION spoil_{table}()"
    )


# -- all is well -----------------------------------------------------------------------------------


async def test_a_clean_run_finds_every_item_once_by_every_protocol(
    daemon: Daemon, database_settings: DatabaseSettings, connection: Connection
) -> None:
    """All three doors in turn, each third round sent twice: exit 0, nothing lost, no second row."""
    options = [word for protocol in Protocol for word in ("--protocol", protocol)]

    code, verifying = await run_to_end(
        daemon, database_settings, "--rounds", "9", "--repeat-every", "3", *options
    )

    assert code == 0, verifying.log_text()
    assert verifying.summary["rounds"]["good"] == 9
    assert verifying.ends() == {"stored": 9 * ITEMS}
    assert verifying.summary["ack_s"]["p99"] <= verifying.summary["visible_s"]["p99"] < 10
    assert daemon.items("traces") == {
        "received": 12 * SPANS, "stored": 9 * SPANS, "duplicate": 3 * SPANS,
        "quarantined": 0, "rejected": 0, "refused": 0,
    }  # fmt: skip
    for protocol in ("grpc", "http"):
        assert daemon.metric("otlpg_requests_total", protocol=protocol) > 0
    assert await connection.fetchval("SELECT count(*) FROM metric_data_points") == 9 * POINTS


async def test_rounds_and_runs_add_no_series_resource_or_scope(
    daemon: Daemon, database_settings: DatabaseSettings, connection: Connection
) -> None:
    """What is left running for months must not be the cardinality bomb that others warn of."""
    counted = "SELECT " + ", ".join(
        f"(SELECT count(*) FROM {table})"
        for table in ("resources", "scopes", "metrics", "metric_series")
    )
    await run_to_end(daemon, database_settings, "--rounds", "1", "--instance", "one")
    after_one = await connection.fetchrow(counted)

    await run_to_end(daemon, database_settings, "--rounds", "5", "--instance", "one")

    assert tuple(after_one or ()) == (1, 1, 5, 5)
    assert await connection.fetchrow(counted) == after_one
    for table in ("trace_spans", "logs", "metric_series"):
        services = await connection.fetch(f"SELECT DISTINCT service_name FROM {table}")
        assert [row[0] for row in services] == [SERVICE_NAME]


async def test_a_bad_item_is_quarantined_and_costs_no_good_one(
    daemon: Daemon, database_settings: DatabaseSettings, connection: Connection
) -> None:
    """It is looked for among the dead letters, where only its own round counts."""
    code, verifying = await run_to_end(
        daemon, database_settings, "--rounds", "4", "--bad-item-every", "2"
    )

    assert code == 0, verifying.log_text()
    assert verifying.ends() == {"stored": 4 * ITEMS, "quarantined": 2}
    found = "SELECT count(*) FROM dead_letters WHERE position('otlpg-verify'::bytea IN payload) > 0"
    assert await connection.fetchval(found) == 2
    words = ("--signal", "traces", "--reason", "invalid_span_id", "--yes")  # as README says
    code, out, err = await otlpg("dead-letters", "purge", *words, database=database_settings)
    assert (code, json.loads(out)) == (0, {"deleted": 2}), err


async def test_sigterm_ends_the_round_and_prints_the_summary(
    daemon: Daemon, database_settings: DatabaseSettings
) -> None:
    """Whoever stops it reads how the whole run went; until then ``/metrics`` and ``/health`` do."""
    with Verifying(daemon, database_settings, "--metrics-port", "0") as verifying:
        await asyncio.to_thread(verifying.wait_for, "rounds", "good", 3)
        address = verifying.wait_for_log("verifying")["metrics"]
        ready, metrics = [
            await asyncio.to_thread(get, f"http://{address}{path}")
            for path in ("/health/ready", "/metrics")
        ]
        code = await asyncio.to_thread(verifying.end)

    assert code == 0
    assert verifying.summary["rounds"]["good"] >= 3
    assert json.loads(ready)["ready"] is True
    found = re.search(r'^otlpg_verify_rounds_total{result="good"} (\S+)$', metrics, re.MULTILINE)
    assert found is not None, metrics
    assert 3 <= float(found[1]) <= verifying.summary["rounds"]["good"]
    lost = [line for line in metrics.splitlines() if 'end="lost"' in line]
    assert [float(line.split()[-1]) for line in lost] == [0, 0, 0], metrics


# -- each way it can be wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "items"), [("trace_spans", SPANS), ("logs", RECORDS), ("metric_data_points", POINTS)]
)
async def test_rows_that_are_not_there_after_ok_are_lost(
    daemon: Daemon,
    database_settings: DatabaseSettings,
    connection: Connection,
    table: str,
    items: int,
) -> None:
    """Whichever signal it is, the others are still found."""
    await sabotage(connection, table, "RETURN NULL;")

    code, verifying = await run_to_end(daemon, database_settings, "--rounds", "2")

    assert code == 1
    assert verifying.ends() == {"lost": 2 * items, "stored": 2 * (ITEMS - items)}
    assert verifying.summary["rounds"]["bad"] == 2
    line = verifying.wait_for_log("broken promise")
    assert line["cause"] == "lost"
    assert line["trace_id"]


async def test_rows_that_are_there_twice_are_duplicated(
    daemon: Daemon, database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A second row is seen in whatever table it lies."""
    again = "INSERT INTO {table} SELECT NEW.*"
    for table in ("trace_spans", "logs", "metric_data_points"):
        body = f"IF pg_trigger_depth() = 1 THEN {again.format(table=table)}; END IF; RETURN NULL;"
        await sabotage(connection, table, body, when="AFTER")

    code, verifying = await run_to_end(daemon, database_settings, "--rounds", "1")

    assert code == 1
    assert verifying.ends() == {"duplicated": ITEMS}


async def test_a_daemon_that_does_not_know_a_repeated_request_is_found_out(
    database_settings: DatabaseSettings,
) -> None:
    """Without the ledger the second sending is stored too; only the repeated round shows it."""
    with Daemon(database_settings, OTLPG_INGEST__LEDGER="false") as unaware:
        code, verifying = await run_to_end(
            unaware, database_settings, "--rounds", "4", "--repeat-every", "2"
        )

    assert code == 1
    assert verifying.ends() == {"duplicated": 2 * ITEMS, "stored": 2 * ITEMS}


async def test_rows_that_say_something_else_are_altered(
    daemon: Daemon, database_settings: DatabaseSettings, connection: Connection
) -> None:
    """One field is enough, in a column as well as inside JSON, and only its own item is blamed."""
    for table, change in {
        "trace_spans": "attributes := NEW.attributes - 'text'",
        "logs": "body_text := upper(NEW.body_text)",
        "metric_data_points": "value_int := NEW.value_int + 1",
    }.items():
        await sabotage(connection, table, f"NEW.{change}; RETURN NEW;")

    code, verifying = await run_to_end(daemon, database_settings, "--rounds", "2")

    assert code == 1
    assert verifying.ends() == {"altered": 6, "stored": 2 * ITEMS - 6}
    assert verifying.wait_for_log("broken promise")["found"]


async def test_a_daemon_that_acknowledges_before_it_commits_is_found_out(
    database_settings: DatabaseSettings, bystander: Connection
) -> None:
    """While its COPY waits for a lock it has said OK already, and the row is not there."""
    path = f"{EARLY_ACK}:{ROOT}"
    with Daemon(database_settings, PYTHONPATH=path) as liar:
        async with bystander.transaction():
            await bystander.execute("LOCK TABLE logs IN SHARE MODE")
            code, verifying = await run_to_end(liar, database_settings, "--rounds", "1")

    assert code == 1
    assert verifying.ends()["lost"] >= RECORDS


async def test_another_database_than_the_daemons_is_all_loss(
    daemon: Daemon, own_database: DatabaseSettings
) -> None:
    """Acknowledged and not here: what a failover to an empty server would look like."""
    code, verifying = await run_to_end(daemon, own_database, "--rounds", "1")

    assert code == 1
    assert verifying.ends() == {"lost": ITEMS}


async def test_rows_that_vanish_while_nobody_can_read_are_lost(
    daemon: Daemon, database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Acknowledged, then unreadable for longer than a look waits, and gone: a failover that loses."""
    options = Options(
        grpc_endpoint=daemon.endpoint,
        http_endpoint=daemon.endpoint,
        instance="here",
        every_s=0.05,
        repeat_every=0,
    )
    async with wire_to(database_settings) as (wire, unreadable):
        way, wire.target = wire.target, "/nowhere"
        canary = Canary(
            options,
            unreadable,
            run_id="run",
            access=Access(),
            clock=SystemClock(),
            rng=Random(1),
            metrics=VerifyMetrics(),
            tell=lambda _: None,
            away_s_max=0.0,
        )
        running = asyncio.create_task(canary.run())
        await until(lambda: canary.tally.report(summary=True).rounds["refused"] >= 2, running)
        deleted = await connection.fetch("DELETE FROM logs RETURNING 1")
        wire.target = way
        await until(lambda: canary.tally.report(summary=True).ends[End.LOST] > 0, running)
        canary.end()
        report = await running

    assert report.has_alarm
    assert report.ends[End.LOST] == len(deleted) > 0
    assert report.ends[End.UNREAD] == 0
    stored = sum(daemon.items(signal)["stored"] for signal in ("traces", "metrics", "logs"))
    assert report.ends[End.STORED] == stored - len(deleted)


# -- what is away is no loss -----------------------------------------------------------------------


async def test_postgresql_restarted_in_the_middle_is_no_alarm(
    own_server: EmbeddedPostgres, own_database: DatabaseSettings
) -> None:
    """Rounds go on afterwards; what was acknowledged is there."""
    with Daemon(own_database) as daemon, Verifying(daemon, own_database) as verifying:
        await asyncio.to_thread(verifying.wait_for, "rounds", "good", 2)
        for _ in range(2):
            await asyncio.to_thread(own_server.restart, "immediate")
            await asyncio.to_thread(verifying.wait_for, "rounds", "good", 5)
        code = await asyncio.to_thread(verifying.end)

    assert code == 0, verifying.log_text()
    assert verifying.ends().keys() <= {"stored", "refused", "unheard", "unread"}
    assert verifying.summary["rounds"]["bad"] == 0


async def test_a_daemon_that_is_away_refuses_and_loses_nothing(
    database_settings: DatabaseSettings,
) -> None:
    """Killed without a word, it is unavailable until it is back on its port; then all is well."""
    with Daemon(database_settings) as first:
        options = ("--deadline", "300ms", "--protocol", "grpc", "--protocol", "http/protobuf")
        with Verifying(first, database_settings, *options) as verifying:
            await asyncio.to_thread(verifying.wait_for, "rounds", "good", 2)
            grpc_port, http_port = str(first.grpc_port), str(first.http_port)
            await asyncio.to_thread(first.kill)
            await asyncio.to_thread(verifying.wait_for, "rounds", "refused", 2)
            with Daemon(
                database_settings,
                OTLPG_RECEIVE__GRPC_PORT=grpc_port,
                OTLPG_RECEIVE__HTTP_PORT=http_port,
            ):
                await asyncio.to_thread(verifying.wait_for, "rounds", "good", 4)
                code = await asyncio.to_thread(verifying.end)

    assert code == 0, verifying.log_text()
    ends = verifying.ends()
    assert ends["refused"] >= 2
    assert ends.keys() <= {"stored", "refused", "unheard"}
