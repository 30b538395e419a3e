"""Every setting in one table, made from the models, so that a document cannot fall behind."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from collector.settings.load import is_secret
from collector.settings.names import ALIASES, FIELDS, FLAGS, bounds, environment_name
from collector.settings.units import Unit


class Description(NamedTuple):
    """One setting as a document shows it."""

    name: str  # ingest.flushers
    environment: str  # OTLPG_INGEST__FLUSHERS
    aliases: tuple[str, ...]  # DB_HOST, PGHOST
    flag: str | None  # --grpc-port
    default: str
    unit: str  # empty when a bare number or text needs none
    bounds: str  # ">= 1, <= 16"
    description: str
    secret: bool


def describe() -> list[Description]:
    """Return every setting in the order of the models."""
    return [_description(name, field) for name, field in FIELDS.items()]


def settings_table() -> str:
    """Return the table of README as Markdown, one row per setting."""
    lines = ["| Setting | Environment | Default | Meaning |", "|---|---|---|---|"]
    for setting in describe():
        names = ", ".join(
            f"`{name}`" for name in (setting.environment, *setting.aliases, setting.flag) if name
        )
        meaning = setting.description + (f" ({setting.bounds})" if setting.bounds else "")
        lines.append(f"| `{setting.name}` | {names} | {setting.default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _description(name: str, field: FieldInfo) -> Description:
    unit = next((item.name for item in field.metadata if isinstance(item, Unit)), "")
    aliases = (alias for group in ALIASES for alias, target in group.items() if target == name)
    return Description(
        name=name,
        environment=environment_name(name),
        aliases=tuple(aliases),
        flag=FLAGS.get(name),
        default=_default_text(field.default, unit),
        unit=unit,
        bounds=", ".join(bounds(field)),
        description=field.description or "",
        secret=is_secret(name),
    )


def _default_text(value: Any, unit: str) -> str:
    """Return a default as a person would write it, ``64MiB`` for 67108864 bytes."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if unit == "bytes":
        for factor, suffix in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if value % factor == 0:
                return f"{value // factor}{suffix}"
    number = f"{value:g}" if isinstance(value, float) else str(value)
    return number + {"seconds": "s", "hours": "h", "days": "d"}.get(unit, "")
