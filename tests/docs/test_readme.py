"""README names everything a user can set, run or watch, and its promises name real tests."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main

from collector.cli import app, dev
from collector.settings import Settings
from collector.settings.load import load
from collector.settings.names import ALIASES, CLIENT_NAMES, CONFIG_NAME, ENVIRONMENT
from collector.settings.table import settings_table
from collector.settings.units import bytes_from_text, duration_from_text
from collector.store.embedded import EmbeddedPostgres
from collector.telemetry.metrics import Declared, Metrics, VerifyMetrics

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def metrics_table(declared: Declared) -> str:
    """Return README's table of a program's metrics, made from their declarations."""
    lines = ["| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
    for metric in declared.all():
        labels = ", ".join(metric.label_names)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.documentation} |")
    return "\n".join(lines)


def first_column(pattern: str) -> set[str]:
    """Return the names in the first column of the tables whose rows begin with ``pattern``."""
    return set(re.findall(rf"^\| `{pattern} ([a-z-]+)", README, flags=re.MULTILINE))


def test_readme_holds_the_table_of_settings() -> None:
    """A setting that README hides, or describes as it was, misleads its reader."""
    assert settings_table().strip() in README


@pytest.mark.parametrize("declared", [Metrics(), VerifyMetrics()], ids=["serve", "verify"])
def test_readme_holds_the_table_of_metrics(declared: Declared) -> None:
    """Who writes an alert looks metrics up in README."""
    assert metrics_table(declared) in README


def test_readme_names_every_command() -> None:
    """Every command of ``otlpg`` is in README's list, and none that does not exist."""
    group = cast("Any", typer.main.get_command(app))

    assert first_column("otlpg") == set(group.commands)


def test_every_line_of_tail_that_readme_shows_can_be_typed() -> None:
    """What stands before a pipe or a comment is a command line that the command takes."""
    command = cast("Any", typer.main.get_command(app)).commands["tail"]
    lines = re.findall(r"^otlpg (tail .*)$", README, flags=re.MULTILINE)

    assert len(lines) >= 6
    for line in lines:
        typed = line.partition(" | ")[0]
        command.make_context("tail", shlex.split(typed, comments=True)[1:])


def test_readme_names_every_option_of_tail() -> None:
    """And none that does not exist."""
    command = cast("Any", typer.main.get_command(app)).commands["tail"]
    section = README.partition("### Live tail")[2].partition("\n### ")[0]
    table = "".join(line for line in section.splitlines() if line.startswith("| `-"))
    options = {name for option in command.params for name in option.opts if name[0] == "-"}

    assert set(re.findall(r"`(-{1,2}[a-z-]+)`", table)) == options - {"--help", "-h"}


def test_readme_names_every_make_target() -> None:
    """``make help`` and README agree."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))

    assert first_column("make") == targets


def test_every_proof_that_readme_names_is_a_test() -> None:
    """A promise whose test was renamed or deleted turns this red."""
    proofs: list[tuple[str, str]] = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", README)

    assert len(proofs) >= 8
    for path, name in proofs:
        source = (ROOT / path).read_text()
        assert not name or f"def {name}(" in source, f"{path}::{name}"


def test_the_banner_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """README shows what `make run` prints, port by port and line by line."""
    socket = "/home/you/.local/share/otlpg/socket"
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [str(ROOT / ".venv/bin/otlpg")])
    monkeypatch.setattr(shutil, "which", lambda _name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    postgres = EmbeddedPostgres(binaries=Path("/nowhere"))
    monkeypatch.setattr(
        postgres, "psql_line", lambda: f'psql "postgresql://otlpg@/otlpg?host={socket}"'
    )
    settings = Settings()
    ports = {
        "grpc": settings.receive.grpc_port,
        "http": settings.receive.http_port,
        "telemetry": settings.telemetry.port,
        "api": settings.api.port,
    }

    banner = dev.banner(settings, postgres, ports)

    assert f"```text\n{banner.strip()}\n" in README


def test_both_config_files_load_and_say_the_same(tmp_path: Path) -> None:
    """The YAML and the TOML example are settings of ours, and the same ones."""
    loaded: list[Settings] = []
    for language in ("yaml", "toml"):
        found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
        assert found is not None
        path = tmp_path / f"otlpg.{language}"
        path.write_text(found[1])
        loaded.append(load(config=path, flags={}, environ={}))

    from_yaml, from_toml = loaded
    assert from_yaml == from_toml
    assert from_yaml.receive.http_host == from_yaml.receive.grpc_host == "10.0.0.5"
    assert from_yaml.ingest.queue_bytes_max == 256 * 2**20


def test_every_variable_that_readme_names_is_a_setting() -> None:
    """What README tells to export is read; so are the names that end in a star."""
    aliases = {name for group in ALIASES for name in group}
    known = {*ENVIRONMENT, *aliases, CONFIG_NAME, *CLIENT_NAMES}
    names = set(re.findall(r"\b(?:OTLPG|DB)_[A-Z_]*[A-Z]\b(?!_)", README))

    assert len(names) > 50
    assert names <= known


def test_every_unit_that_readme_names_is_read() -> None:
    """Sizes and times may be written as README says, and a lone M or m may not."""
    sentence = re.search(r"Sizes take (.*?); times take (.*?): ", README, re.DOTALL)
    assert sentence is not None
    sizes, times = (re.findall(r"`(\w+)`", part) for part in sentence.groups())

    seconds = duration_from_text(1, "")
    assert (len(sizes), len(times)) == (10, 5)
    assert all(bytes_from_text(f"5{unit}") % 5 == 0 for unit in sizes)
    assert [seconds(f"1{unit}") for unit in times] == [0.001, 1, 60, 3600, 86400]
    for read, unit in ((bytes_from_text, "M"), (seconds, "m")):
        with pytest.raises(ValueError, match="must be"):
            read(f"1{unit}")


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        (
            {"DATABASE_URL": "postgresql://u@h/n", "PGPASSWORD": "p", "DB_NAME": "other"},
            "postgresql://u:p@h/n",
        ),
        (
            {"DATABASE_URL": "postgresql://u@h/n", "OTLPG_DATABASE__NAME": "other"},
            "postgresql://u@h/other",
        ),
        (
            {"DATABASE_URL": "postgresql://u@h/n", "OTLPG_DATABASE__DSN": "postgresql://v@i/m"},
            "postgresql://v@i/m",
        ),
    ],
)
def test_the_strongest_place_of_an_address_wins(environ: dict[str, str], address: str) -> None:
    """As README says: written over from above, completed from below."""
    dsn = load(config=None, flags={}, environ=environ).database.dsn

    assert dsn is not None
    assert dsn.get_secret_value() == address


def test_links_within_readme_lead_somewhere() -> None:
    """A heading that was renamed leaves no dead link."""
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}

    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) <= anchors
