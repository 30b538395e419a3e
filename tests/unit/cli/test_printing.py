"""cli.printing: how the command names itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from collector.cli.printing import own_command


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (".venv/bin/otlpg", ".venv/bin/otlpg"),
        ("{cwd}/.venv/bin/otlpg", ".venv/bin/otlpg"),
        ("/opt/otlpg/bin/otlpg", "/opt/otlpg/bin/otlpg"),
        ("/x/collector/__main__.py", f"{sys.executable} -m collector"),
    ],
)
def test_own_command_can_be_pasted(
    typed: str, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Beside a virtual environment that is not active, the banner still names what works."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [typed.format(cwd=tmp_path), "dev"])

    assert own_command() == shown


def test_own_command_on_path_is_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the command is installed, its name is enough."""
    (tmp_path / "otlpg").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert own_command() == "otlpg"
