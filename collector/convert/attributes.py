"""Attribute lists as JSON, and the lists of events, links and exemplars that hold some.

The usual list is one look-up per attribute. A list with a duplicate key, a repair or a value that
must not be remembered is decoded again, carefully.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from collector.convert.memo import Pairs
from collector.convert.notes import Notes
from collector.convert.values import ValueWriter, decode_key_values, object_json
from collector.errors import IrregularError

AttributesJson: TypeAlias = Callable[[Sequence[bytes]], str]
"""Turns undecoded KeyValues into JSON: the map form or the list form."""


def attribute_members(
    attributes: Sequence[bytes], pairs: Pairs, level: int, notes: Notes, field: str = "attributes"
) -> dict[str, str]:
    """Return the members of the attributes' JSON object, ``"key":value``, by key.

    Duplicate keys: the last wins, and the list form of all goes to ``notes.raw[field]``. Texts that
    had to be repaired are marked in ``notes``.

    Args:
        attributes: undecoded KeyValues.
        pairs: what is remembered.
        level: level of the KeyValues below the request.
        notes: of the item.
        field: name of the protobuf field.

    Raises:
        QuarantineError: an attribute does not decode or nests too deep.
    """
    try:
        members = dict(map(pairs.__getitem__, attributes))
    except IrregularError:
        return _careful_members(attributes, level, notes, field)
    if len(members) < len(attributes):
        return _careful_members(attributes, level, notes, field)
    return members


def _careful_members(
    attributes: Sequence[bytes], level: int, notes: Notes, field: str
) -> dict[str, str]:
    writer = ValueWriter(notes)
    entries = decode_key_values(attributes, level, notes)
    members = writer.members(entries, level)
    if writer.has_duplicates:
        notes.raw[field] = writer.list_form_of(entries)
    return members


def attributes_list_form(attributes: Sequence[bytes], level: int, notes: Notes) -> str:
    """Return the list form of attributes that ``attribute_members`` has already accepted."""
    return ValueWriter(notes).list_form_of(decode_key_values(attributes, level, notes))


def entries_json(
    entries: Sequence[bytes],
    entry_json: Callable[[bytes, AttributesJson, Notes], str],
    *,
    pairs: Pairs,
    level: int,
    notes: Notes,
    field: str,
) -> str | None:
    """Return the JSON array of events, links or exemplars; None when there are none.

    When one of them has a duplicate key, the whole array with attributes in list form goes to
    ``notes.raw[field]``.

    Args:
        entries: undecoded.
        entry_json: writes one of them, given what writes its attributes.
        pairs: what is remembered.
        level: level of the entries' KeyValues below the request.
        notes: of the item.
        field: name of the protobuf field.

    Raises:
        QuarantineError: an entry does not decode, or an attribute nests too deep.
    """
    if not entries:
        return None
    inner = Notes()

    def map_form(attributes: Sequence[bytes]) -> str:
        return object_json(attribute_members(attributes, pairs, level, inner).values())

    def list_form(attributes: Sequence[bytes]) -> str:
        return attributes_list_form(attributes, level, inner)

    text = "[" + ",".join([entry_json(entry, map_form, inner) for entry in entries]) + "]"
    if inner.raw:
        as_lists = [entry_json(entry, list_form, inner) for entry in entries]
        notes.raw[field] = "[" + ",".join(as_lists) + "]"
    notes.absorb(inner)
    notes.effort += len(entries)
    return text
