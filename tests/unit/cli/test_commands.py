"""cli: what a command line does before any work begins."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import pytest

from collector import __version__
from collector.cli import check, dev, run, serve
from collector.cli.check import as_map, as_text
from collector.errors import SchemaError
from collector.operate.check import Step
from collector.operate.dev import Publication
from collector.settings.names import FLAGS
from tests.e2e.daemon import FOREIGN_SETTINGS


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No command of these tests finds a database or a running `otlpg dev`."""
    for name in [name for name in os.environ if name.startswith(FOREIGN_SETTINGS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTLPG_DATA_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--version", 0),
        ("--help", 0),
        ("migrate --help", 0),
        ("migrate sql --empty", 0),
        ("nonsense", 2),
        ("serve --nonsense", 2),
        ("serve --workers many", 2),
        ("migrate sql sideways", 2),
        ("bench", 2),
        ("dead-letters replay", 2),
        ("dead-letters replay 1 --all", 2),
        ("dead-letters replay --all --as pictures", 2),
        ("dead-letters purge", 2),
        ("dead-letters purge --older-than 30", 2),
        ("dead-letters list --since yesterday", 2),
        ("dead-letters list --limit 10001", 2),
        ("dead-letters list --signal x", 2),
        ("dead-letters show 99999999999999999999", 2),
        ("sql", 2),
        ("sql x --timeout 5", 2),
        ("sql x --timeout 2d", 2),
        ("sql x --limit 0", 2),
        ("export", 2),
        ("export a.pb", 2),
        ("bench --local --endpoint h:1", 2),
        ("bench --endpoint nonsense", 2),
        ("bench --endpoint https://localhost:1", 2),
        ("bench --endpoint 127.0.0.1:1", 5),
        ("serve --workers 0", 4),
        ("serve --config missing.yaml", 4),
        ("serve --grpc-host 0.0.0.0", 4),
        ("dev --grpc-port 70000", 4),
        ("send-test", 4),
        ("send-test --no-read --endpoint ftp://x", 2),
        ("send-test --no-read --endpoint nonsense", 2),
        ("send-test --no-read --endpoint http://h:99999", 2),
    ],
)
def test_exit_code(words: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line ends with the code of its kind, and with text for people."""
    assert run(words.split()) == code

    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert (shown.err if code else shown.out) != ""


def test_version_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is data."""
    assert run(["--version"]) == 0

    assert capsys.readouterr().out == f"otlpg {__version__}\n"


def test_wrong_setting_names_the_flag_that_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says what to change."""
    run(["serve", "--grpc-port", "70000"])

    assert capsys.readouterr().err == (
        "otlpg: --grpc-port (receive.grpc_port) must be less than or equal to 65535, but is 70000\n"
    )


def test_send_test_without_a_database_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both ways out are named."""
    assert run(["send-test"]) == 4

    shown = capsys.readouterr().err
    assert "otlpg dev" in shown
    assert "--no-read" in shown


@pytest.mark.parametrize("command", ["migrate status", "migrate up", "migrate down", "check"])
def test_a_running_dev_is_found(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nothing names a database, all commands mean that of `otlpg dev`."""
    monkeypatch.setattr("collector.operate.check.RETRY_AFTER_S", ())
    with Publication(tmp_path) as publication:
        publication.publish(
            "postgresql://127.0.0.1:1/of_dev", {"grpc": 1, "http": 3, "telemetry": 2}
        )

        assert run(command.split()) == 5

    shown = capsys.readouterr()
    assert "127.0.0.1:1/of_dev" in shown.out + shown.err
    assert "the running `otlpg dev`" in shown.out + shown.err


def test_sql_for_an_empty_database_needs_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole schema as a script, for those who apply it by hand."""
    run(["migrate", "sql", "--empty"])

    script = capsys.readouterr().out
    assert "CREATE TABLE trace_spans" in script
    assert "INSERT INTO otlpg_migrations" in script


def test_check_with_wrong_settings_is_a_failed_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad settings are the first step of the check, in JSON too, and exit 4."""
    monkeypatch.setenv("OTLPG_WORKERS", "0")

    assert run(["check", "--json"]) == 4

    (step,) = json.loads(capsys.readouterr().out)
    assert (step["step"], step["result"]) == ("settings", "failed")
    assert "OTLPG_WORKERS" in step["found"]


def test_every_flag_of_a_setting_is_an_option_of_a_command() -> None:
    """An error that says --grpc-port names an option that exists."""
    parameters = {
        name
        for command in (serve.serve, dev.dev, check.check)
        for name in inspect.signature(command).parameters
    }

    missing = {
        f for f in FLAGS.values() if f.removeprefix("--").replace("-", "_") not in parameters
    }

    assert missing == set()


@pytest.mark.parametrize(
    ("step", "word"),
    [
        (Step("schema", "version 6"), "ok"),
        (Step("pool", "19 free", hint="raise it", warning=True), "warning"),
        (Step("schema", "none", SchemaError("none"), "run `otlpg migrate up`"), "failed"),
    ],
)
def test_a_step_shows_its_result_and_hint(step: Step, word: str) -> None:
    """The same words as text and as JSON."""
    assert as_text(step, colour=False).split()[:2] == [word, step.name]
    assert as_text(step, colour=False).endswith(step.hint or step.found)
    assert as_map(step) == {
        "step": step.name,
        "result": word,
        "found": step.found,
        "hint": step.hint,
    }
