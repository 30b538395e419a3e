"""README names everything a user can set, run or watch, and its promises name real tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import typer.main

from collector.cli import app
from collector.settings import settings_table
from collector.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def metrics_table() -> str:
    """Return README's table of metrics, made from their declarations."""
    lines = ["| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
    for metric in Metrics().all():
        labels = ", ".join(metric.label_names)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.documentation} |")
    return "\n".join(lines)


def first_column(pattern: str) -> set[str]:
    """Return the names in the first column of the tables whose rows begin with ``pattern``."""
    return set(re.findall(rf"^\| `{pattern} ([a-z-]+)", README, flags=re.MULTILINE))


def test_readme_holds_the_table_of_settings() -> None:
    """A setting that README hides, or describes as it was, misleads its reader."""
    assert settings_table().strip() in README


def test_readme_holds_the_table_of_metrics() -> None:
    """Who writes an alert looks metrics up in README."""
    assert metrics_table() in README


def test_readme_names_every_command() -> None:
    """Every command of ``otlpg`` is in README's list, and none that does not exist."""
    group = cast("Any", typer.main.get_command(app))

    assert first_column("otlpg") == set(group.commands)


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
