"""The files of ``migrations/``, and the texts that are sent of them; see ``migrate``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Track = Literal["main", "roles"]
Direction = Literal["up", "down"]

LOCK_S_MAX = 10
"""DDL that waits longer for its lock gives up: everybody else queues behind it."""


class Migration(NamedTuple):
    """One pair of files."""

    track: Track
    version: int
    name: str
    up: str
    down: str

    @property
    def label(self) -> str:
        """How people call it: ``0001_facts``, ``roles/0001_roles``."""
        return f"{'' if self.track == 'main' else self.track + '/'}{self.version:04d}_{self.name}"

    @property
    def checksum(self) -> str:
        """SHA-256 of the up file, in hex."""
        return hashlib.sha256(self.up.encode()).hexdigest()


def known_migrations() -> list[Migration]:
    """Return all migrations that this otlpg brings, in the order of applying: main, then roles."""
    folder = _folder()
    return _read(folder, "main") + _read(folder / "roles", "roles")


def required_version() -> int:
    """Return the version of the main track that this otlpg needs."""
    return max(m.version for m in known_migrations() if m.track == "main")


def to_groups(migrations: Sequence[Migration], direction: Direction) -> list[list[Migration]]:
    """Return what goes into one transaction each: every step up, but all neighbours down.

    A ledger that is gone while the facts are still there lets repeated requests be stored again,
    so a ``down`` of several steps must not end between them. Only a file that refuses a
    transaction stands by itself.
    """
    groups: list[list[Migration]] = []
    for migration in migrations:
        joins = direction == "down" and groups and not _refuses(migration, direction)
        if joins and not _refuses(groups[-1][0], direction):
            groups[-1].append(migration)
        else:
            groups.append([migration])
    return groups


def _refuses(migration: Migration, direction: Direction) -> bool:
    """Return whether this file cannot run in a transaction."""
    return "no-transaction" in words_of(_body(migration, direction))


def _body(migration: Migration, direction: Direction) -> str:
    return migration.up if direction == "up" else migration.down


def _record(migration: Migration, direction: Direction) -> str:
    """Return the statement that notes what was done; it holds our own words only."""
    track, version, name, *_ = migration
    if direction == "up":
        return (
            "INSERT INTO otlpg_migrations (track, version, name, checksum)"  # noqa: S608
            f" VALUES ('{track}', {version}, '{name}', '{migration.checksum}');\n"
        )
    return f"DELETE FROM otlpg_migrations WHERE track = '{track}' AND version = {version};\n"  # noqa: S608


def to_parts(group: Sequence[Migration], direction: Direction) -> Iterator[tuple[str, str]]:
    """Yield the texts to send, each as one message, with the name of their file for an error."""
    labels = [f"{migration.label}.{direction}.sql" for migration in group]
    if _refuses(group[0], direction):
        yield labels[0], _body(group[0], direction)
        yield labels[0], _record(group[0], direction)
        return
    yield labels[0], f"BEGIN;\nSET LOCAL lock_timeout = '{LOCK_S_MAX}s';\n"
    for label, migration in zip(labels, group, strict=True):
        yield label, f"{_body(migration, direction)}\n{_record(migration, direction)}"
    yield labels[-1], "COMMIT;\n"


def to_script(migrations: Sequence[Migration], direction: Direction) -> list[str]:
    """Return the same texts for ``psql``, one script for each group."""
    return [
        f"-- {', '.join(m.label for m in group)}, {direction}\n"
        + "".join(text for _, text in to_parts(group, direction))
        for group in to_groups(migrations, direction)
    ]


def _folder() -> Path:
    """Return where the SQL files are: in an installed wheel, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _read(folder: Path, track: Track) -> list[Migration]:
    """Return the migrations of a folder in order; their numbers must be 1, 2, 3 and so on."""
    found: list[Migration] = []
    for file in sorted(folder.glob("*.up.sql")):
        match = re.fullmatch(r"(\d{4})_(\w+)\.up\.sql", file.name)
        assert match is not None, f"{file.name} is not called NNNN_name.up.sql"
        down = file.with_name(file.name.replace(".up.sql", ".down.sql")).read_text("utf-8")
        found.append(Migration(track, int(match[1]), match[2], file.read_text("utf-8"), down))
    assert [m.version for m in found] == list(range(1, len(found) + 1)), f"a gap in {folder}"
    return found


def words_of(text: str) -> set[str]:
    """Return the words after ``-- otlpg:`` in the comments that a file begins with."""
    words: set[str] = set()
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        marker = re.match(r"-- otlpg: (.+)", line)
        words.update(marker[1].split() if marker else ())
    return words
