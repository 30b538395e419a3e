"""Daemons changed from outside, by a module that each of their processes imports at its start."""

from __future__ import annotations

from pathlib import Path

CONTROLS = Path(__file__).parent / "controls"
REPOSITORY = Path(__file__).parents[2]


def changed_by(control: str) -> dict[str, str]:
    """Return the environment in which ``controls/<control>/sitecustomize.py`` is imported."""
    return {"PYTHONPATH": f"{CONTROLS / control}:{REPOSITORY}"}
