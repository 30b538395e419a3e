"""``otlpg token``: the keys with which senders and readers come in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import options, printing
from collector.cli.connecting import on_connection

if TYPE_CHECKING:
    from collector.store.api_keys import ApiKey

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


def _seconds(text: str) -> float:
    from collector.settings.units import duration_from_text

    try:
        return float(duration_from_text(1, "a duration such as 12h or 90d")(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command("create")
def create(
    name: Annotated[str, typer.Option("--name", help="Whose key it is.")],
    scope: Annotated[
        list[str], typer.Option("--scope", help="ingest, query or admin; may be given again.")
    ],
    expires: Annotated[
        float | None,
        typer.Option("--expires", parser=_seconds, metavar="90d", help="Default: never."),
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a key and print it: it is never shown again."""
    from collector.operate import tokens
    from collector.receive.token import Scope

    unknown = [text for text in scope if text not in list(Scope)]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]!r} is none of {', '.join(Scope)}", param_hint="--scope"
        )
    token, key = on_connection(
        config,
        data_dir,
        lambda connection: tokens.create(
            connection, name=name, scopes=[Scope(text) for text in scope], expires_s=expires
        ),
    )
    if as_json:
        printing.json_line({"token": token.text, **key._asdict()})
        return
    print(token.text)
    ends = f"until {key.expires_at}" if key.expires_at else "until it is revoked"
    printing.note(
        f"key {key.id} of {printing.escaped(key.name)} allows {', '.join(key.scopes)} {ends}\n"
        "keep it now: it is not shown again. A sender gives it as\n"
        "  OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<key>"
    )


@app.command("list")
def list_(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Show every key, but never what would let anybody in."""
    from collector.operate import tokens

    keys = on_connection(config, data_dir, tokens.find)
    if as_json:
        printing.json_line([key._asdict() for key in keys])
    elif sys.stdout.isatty():
        print("\n".join(as_table(keys)))
    else:
        for key in keys:
            printing.json_line(key._asdict())


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id, or the key itself.")],
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Take a key back: daemons refuse it within seconds (auth.refresh_s)."""
    from collector.operate import tokens

    key = on_connection(config, data_dir, lambda connection: tokens.revoke(connection, key_id))
    if as_json:
        printing.json_line(key._asdict())
    else:
        printing.note(
            f"key {key.id} of {printing.escaped(key.name)} was revoked at {key.revoked_at}"
        )


def as_table(keys: list[ApiKey]) -> list[str]:
    """Return the lines of a table, its heads first."""
    rows = [("ID", "STATE", "SCOPES", "CREATED", "EXPIRES", "NAME")]
    rows += [
        (
            key.id,
            key.state,
            ",".join(key.scopes),
            key.created_at,
            key.expires_at or "never",
            printing.escaped(key.name),
        )
        for key in keys
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
