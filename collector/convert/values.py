"""The JSON forms of OTLP's values, exact in jsonb; the only place that writes them.

====================  ==========================================================================
string, bool, int64   JSON string, boolean, integer
double                a number with a fraction, or ``{"$double":"<text>"}`` for NaN, infinities,
                      -0.0, abs(x) >= 1e15 and 0 < abs(x) < 1e-15, which jsonb's numeric would change
bytes                 ``{"$bytes":"<base64>"}``
array, kvlist         array; object
nothing set           ``null``
object key            as it is; a leading ``$`` is doubled, so that no sender can write our tags
====================  ==========================================================================

Of two equal keys the last wins, and ``raw`` keeps all in *list form* (see ``rows``). Attributes come
as undecoded KeyValues; ``Pairs`` in ``memo`` knows the usual ones by heart, the rest is decoded here.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring
from math import copysign
from typing import TypeVar

import orjson
from google.protobuf.message import DecodeError, Message

from collector.convert.notes import Notes
from collector.convert.survey import LEVELS_MAX, hides_levels, reason_of_failure
from collector.errors import QuarantineError
from collector.rows import Reason
from collector.wire.common_pb2 import AnyValue, KeyValue

MessageT = TypeVar("MessageT", bound=Message)

json_string: Callable[[str], str] = encode_basestring
"""A JSON string: the C function of the standard library; only what JSON demands is escaped."""


def double_json(number: float) -> str:
    """Return a double so that jsonb keeps its value, its sign and that it is a double."""
    size = abs(number)
    if 1e-4 <= size < 1e15:
        return orjson.dumps(number).decode()  # the same digits as repr, three times as fast
    if 1e-15 <= size < 1e-4 or (number == 0 and copysign(1, number) > 0):
        return repr(number)
    return f'{{"$double":"{_double_text(number)}"}}'


def _double_text(number: float) -> str:
    if number != number:
        return "NaN"
    return repr(number).replace("inf", "Infinity")


def bytes_json(raw: bytes) -> str:
    """Return tagged base64."""
    return f'{{"$bytes":"{b64encode(raw).decode("ascii")}"}}'


def key_json(key: str) -> str:
    """Return an object's key with its colon."""
    return json_string("$" + key if key.startswith("$") else key) + ":"


def hex_json(identifier: bytes) -> str:
    """Return an id of whatever length as a JSON string of hex."""
    return f'"{identifier.hex()}"'


class ValueWriter:
    """Writes decoded values as JSON and notes what was unusual about them.

    Levels count messages below the request; ``level`` is that of the message at hand. Recursion is
    bounded by ``levels_max``.

    Raises:
        QuarantineError: a value nests deeper than ``levels_max``.
    """

    __slots__ = ("_levels_max", "_notes", "has_duplicates")

    def __init__(self, notes: Notes, levels_max: int = LEVELS_MAX) -> None:
        self._notes = notes
        self._levels_max = levels_max
        self.has_duplicates = False

    def value(self, value: AnyValue, level: int) -> str:
        """Return the map form of one value; its text is joined once, however deep it nests."""
        parts: list[str] = []
        self._write(value, level, parts)
        return parts[0] if len(parts) == 1 else "".join(parts)

    def _write(self, value: AnyValue, level: int, parts: list[str]) -> None:
        kind = value.WhichOneof("value")
        if kind == "array_value":
            self._check(level + 1)
            values = value.array_value.values
            self._notes.effort += len(values)
            parts.append("[")
            for place, entry in enumerate(values):
                if place:
                    parts.append(",")
                self._write(entry, level + 2, parts)
            parts.append("]")
        elif kind == "kvlist_value":
            self._check(level + 1)
            self._write_object(value.kvlist_value.values, level + 2, parts)
        else:
            self._check(level)
            parts.append(self._scalar(value, kind))

    def _write_object(self, entries: Sequence[KeyValue], level: int, parts: list[str]) -> None:
        names = self._names_of(entries, level)
        members: dict[str, list[str]] = {}
        for entry in entries:
            key = key_json(names[entry.key])
            members[key] = member = [key]
            if entry.HasField("value"):
                self._write(entry.value, level + 1, member)
            else:
                member.append("null")
        parts.append("{")
        for place, key in enumerate(sorted(members)):
            if place:
                parts.append(",")
            parts += members[key]
        parts.append("}")

    def members(self, entries: Sequence[KeyValue], level: int) -> dict[str, str]:
        """Return the members of an object, ``"key":value``, by key; the last of equal keys wins."""
        names = self._names_of(entries, level)
        members: dict[str, str] = {}
        for entry in entries:
            name = names[entry.key]
            members[name] = key_json(name) + self._value_of(entry, level)
        return members

    def list_form(self, value: AnyValue) -> str:
        """Return the list form of one value that ``value`` has already accepted."""
        parts: list[str] = []
        self._write_list_form(value, parts)
        return "".join(parts)

    def list_form_of(self, entries: Sequence[KeyValue]) -> str:
        """Return the list form of an attribute list: every entry, in the sent order."""
        parts: list[str] = []
        self._write_pairs(entries, parts)
        return "".join(parts)

    def _write_list_form(self, value: AnyValue, parts: list[str]) -> None:
        kind = value.WhichOneof("value")
        if kind == "array_value":
            values = value.array_value.values
            self._notes.effort += len(values)
            parts.append("[")
            for place, entry in enumerate(values):
                if place:
                    parts.append(",")
                self._write_list_form(entry, parts)
            parts.append("]")
        elif kind == "kvlist_value":
            parts.append('{"$kvlist":')
            self._write_pairs(value.kvlist_value.values, parts)
            parts.append("}")
        else:
            parts.append(self._scalar(value, kind))

    def _write_pairs(self, entries: Sequence[KeyValue], parts: list[str]) -> None:
        self._notes.effort += len(entries)
        names = self._names([entry.key for entry in entries])
        parts.append("[")
        for place, entry in enumerate(entries):
            parts.append(f"{',' if place else ''}[{json_string(names[entry.key])},")
            self._write_list_form(entry.value, parts)
            parts.append("]")
        parts.append("]")

    def _value_of(self, entry: KeyValue, level: int) -> str:
        return self.value(entry.value, level + 1) if entry.HasField("value") else "null"

    def _names_of(self, entries: Sequence[KeyValue], level: int) -> dict[bytes, str]:
        """Return the text of each distinct key of an object at ``level``."""
        if entries:
            self._check(level)
            self._notes.effort += len(entries)
        names = self._names([entry.key for entry in entries])
        if len(names) < len(entries):
            self.has_duplicates = True
        return names

    def _scalar(self, value: AnyValue, kind: str | None) -> str:
        match kind:
            case "string_value":
                return json_string(self._notes.text(value.string_value))
            case "bool_value":
                return "true" if value.bool_value else "false"
            case "int_value":
                return str(value.int_value)
            case "double_value":
                return double_json(value.double_value)
            case "bytes_value":
                return bytes_json(value.bytes_value)
            case _:  # nothing, or string_value_strindex, which only profiles may use
                return "null"

    def _names(self, keys: list[bytes]) -> dict[bytes, str]:
        """Return the text of each distinct key."""
        try:
            names = {key: key.decode() for key in keys}
        except UnicodeDecodeError:
            return self._repaired_names(keys)
        return self._repaired_names(keys) if b"\0" in b"".join(keys) else names

    def _repaired_names(self, keys: list[bytes]) -> dict[bytes, str]:
        """Return the text of each distinct key; texts that a repair made equal get a suffix.

        Keys that needed no repair keep their text, whatever the order. Each suffix is tried once
        per text, so that keys which all become equal cost no more than others.
        """
        names: dict[bytes, str] = {}
        repaired: dict[bytes, str] = {}
        for key in keys:
            own = Notes()
            text = own.text(key)
            if own.repair is None:
                names[key] = text
            else:
                repaired[key] = text
                self._notes.mark(own.repair)
        taken = set(names.values())
        numbers: dict[str, int] = {}  # the last that was tried
        for key, text in repaired.items():
            name = text
            while name in taken:
                number = numbers[text] = numbers.get(text, 1) + 1
                name = f"{text}#{number}"
            taken.add(name)
            names[key] = name
        return names

    def _check(self, level: int) -> None:
        if level > self._levels_max:
            raise QuarantineError(Reason.TOO_DEEP)


def object_json(members: Iterable[str]) -> str:
    """Return an object of members that are written already."""
    return "{" + ",".join(members) + "}"


def decode(message: type[MessageT], raw: bytes) -> MessageT:
    """Return the decoded message, of a type that keeps its submessages undecoded.

    Raises:
        QuarantineError: it does not decode.
    """
    try:
        return message.FromString(raw)
    except DecodeError as error:
        raise QuarantineError(Reason.UNDECODABLE) from error


def decode_parts(message: type[MessageT], parts: Sequence[bytes]) -> MessageT:
    """Return a singular message that came in any number of parts, merged as protobuf does it.

    Each part must be a message of its own, or the next one would complete what is cut off in it.

    Raises:
        QuarantineError: one does not decode.
    """
    if len(parts) > 1:
        for part in parts:
            decode(message, part)
    return decode(message, b"".join(parts))


def decode_nested(
    message: type[MessageT], raw: bytes, kind: str, level: int, notes: Notes
) -> MessageT:
    """Return the decoded value or KeyValue, which stands at ``level`` below the request.

    Decoded alone it may nest deeper than its place allows. ``ValueWriter`` sees that, except in what
    a later member of a oneof has taken the place of; a decoder of the request refuses that too.

    Raises:
        QuarantineError: it does not decode; the reason tells broken from too deep.
    """
    try:
        decoded = message.FromString(raw)
    except DecodeError as error:
        raise QuarantineError(reason_of_failure(raw, kind, level, notes)) from error
    if hides_levels(decoded, raw, kind, LEVELS_MAX - level, notes):
        raise QuarantineError(Reason.TOO_DEEP)
    return decoded


def decode_key_values(attributes: Sequence[bytes], level: int, notes: Notes) -> list[KeyValue]:
    """Return decoded KeyValues, which stand at ``level`` below the request."""
    return [decode_nested(KeyValue, raw, "key_value", level, notes) for raw in attributes]
