"""``otlpg check``: settings, PostgreSQL, Redis, schema, pool and a sample, each with its result."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import typer

from collector.cli import exit_codes, options, printing

if TYPE_CHECKING:
    from collector.operate.check import Step


def check(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Check everything that has to hold before senders are pointed here; changes nothing."""
    from collector.operate.check import check as steps
    from collector.operate.dev import beside_dev
    from collector.telemetry.logging import wants_colour

    async def run() -> list[Step]:
        done: list[Step] = []
        async for step in steps(lambda: beside_dev(options.load(config, data_dir=data_dir))):
            done.append(step)
            if not as_json:
                print(as_text(step, colour=wants_colour(sys.stdout)), flush=True)
        return done

    done = asyncio.run(run())
    if as_json:
        printing.json_line([as_map(step) for step in done])
    failures = [step.error for step in done if step.error is not None]
    raise typer.Exit(exit_codes.exit_code(failures[0]) if failures else exit_codes.OK)


def outcome(step: Step) -> str:
    """Return the step's result in one word."""
    if step.error is not None:
        return "failed"
    return "warning" if step.warning else "ok"


def as_text(step: Step, *, colour: bool) -> str:
    """Return a step as one line, and its hint, if there is one, on a second."""
    word = outcome(step)
    styles = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "failed": typer.colors.RED}
    shown = typer.style(f"{word:<8}", fg=styles[word]) if colour else f"{word:<8}"
    hint = f"\n{'':<21}-> {printing.escaped_lines(step.hint)}" if step.hint else ""
    return f"{shown} {step.name:<11} {printing.escaped_lines(step.found)}{hint}"


def as_map(step: Step) -> dict[str, str]:
    """Return a step as a JSON-able map."""
    return {
        "step": step.name,
        "result": outcome(step),
        "found": step.found,
        "hint": step.hint,
    }
