"""What is left of an item that is too long for a screen: the same on its way and stored.

Attributes lose their largest members, and no more of them than it takes, so that the small ones, by
which people filter, stay. Sizes are those of PostgreSQL's own text of a jsonb, since there is no
other that both sides can have: ``attributes`` is the rule in SQL, ``kept`` the same in Python, and
``tests/db/test_live_items.py`` compares.
"""

from __future__ import annotations

from typing import Final

import orjson

from collector.items import ATTRIBUTES_CHARACTERS_MAX, JsonValue
from collector.query.json_text import json_text

_AROUND_A_MEMBER: Final = len(": , ")
"""A colon and a comma, each with a space; one comma fewer and two braces come to the same."""

_GROWTH_MAX: Final = 5
_EXPONENT_GROWTH_MAX: Final = 16
"""What a number with an exponent, 1e-15 at the smallest, grows by when it is written without."""


def attributes(column: str, name: str) -> str:
    """Return SQL for a column of attributes under this name, and for whether it was cut.

    No text of a sender's that is longer than an item may show ever leaves PostgreSQL.

    Shape: two columns, ``name`` and ``name_cut``; both NULL where ``column`` is.
    """
    is_long = f"length({column}::text) > {ATTRIBUTES_CHARACTERS_MAX}"
    kept_members = (
        "SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM ("  # noqa: S608 -- our own names
        'SELECT key, value, sum(size) OVER (ORDER BY size, key COLLATE "C") AS total FROM ('
        f"SELECT key, value, length(to_json(key)::text) + length(value::text) + {_AROUND_A_MEMBER}"
        f" AS size FROM jsonb_each({column})) AS sized) AS summed"
        f" WHERE total <= {ATTRIBUTES_CHARACTERS_MAX}"
    )
    return f"CASE WHEN {is_long} THEN ({kept_members}) ELSE {column} END AS {name}, {is_long} AS {name}_cut"


def kept(members: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the attributes without their largest members, as ``attributes`` does.

    Those are left out that no longer fit when the smallest come first, equal ones by their keys.
    """
    sizes = sorted((_size(key, value), key) for key, value in members.items())
    left = ATTRIBUTES_CHARACTERS_MAX
    names: set[str] = set()
    for size, key in sizes:
        left -= size
        if left < 0:
            break
        names.add(key)
    return {key: value for key, value in members.items() if key in names}


def surely_fits(json: str, characters_max: int) -> bool:
    """Return whether PostgreSQL's text of this JSON is no longer than that, from a look at its signs.

    Shape: ``json`` without space, as ``convert`` writes it. False means: it may be.
    """
    length = len(json)
    if length * _GROWTH_MAX <= characters_max:
        return True
    spaces = json.count(",") + json.count(":")
    return length + spaces + _EXPONENT_GROWTH_MAX * json.count("e-") <= characters_max


def _size(key: str, value: JsonValue) -> int:
    """Return the characters of a member; more than fits is more than fits, without a closer look."""
    length = len(value) if isinstance(value, str) else len(orjson.dumps(value).decode())
    if length <= ATTRIBUTES_CHARACTERS_MAX:
        length = len(json_text(value))
    return len(json_text(key)) + length + _AROUND_A_MEMBER
