"""How many parts an item has and how deep it nests, counted without decoding it.

Only large items and heads are surveyed, before they are decoded, values that did not decode, to say
why, and those that decoded and lost a part.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from google.protobuf.message import Message

from collector.convert.notes import Notes
from collector.convert.tags import find_field
from collector.errors import MalformedError
from collector.rows import Reason

LEVELS_MAX = 100
"""Levels of messages below a request that a full OTLP message may have (upb's own limit)."""

TOTAL_PER_OWN_MAX = 7
"""Fields at all depths, per part of the cap on an item's own: as many links as events, with an id or
two each, are 6. Converting an item is never divided: 70 000 fields took 30 to 50 ms as keys and
values of a body, and 75 ms with all keys to be repaired."""

PACKED_PER_OWN_MAX = 2
"""Packed numbers, per part of that cap: a histogram's bucket is a count and a bound."""

CHILDREN: dict[str, dict[int, str]] = {
    "resource_head": {0x0A: "resource"},
    "resource": {0x0A: "key_value", 0x1A: "entity_ref"},
    "scope_head": {0x0A: "scope"},
    "scope": {0x1A: "key_value"},
    "metric_head": {0x62: "key_value"},
    "span": {0x4A: "key_value", 0x5A: "event", 0x6A: "link"},
    "event": {0x1A: "key_value"},
    "link": {0x22: "key_value"},
    "log_record": {0x2A: "value", 0x32: "key_value"},
    "number_point": {0x3A: "key_value", 0x2A: "exemplar"},
    "histogram_point": {0x4A: "key_value", 0x42: "exemplar", 0x32: "fixed", 0x3A: "fixed"},
    "exponential_point": {0x0A: "key_value", 0x5A: "exemplar", 0x42: "buckets", 0x4A: "buckets"},
    "summary_point": {0x3A: "key_value", 0x32: "quantile"},
    "exemplar": {0x3A: "key_value"},
    "buckets": {0x12: "varints"},
    "key_value": {0x12: "value"},
    "value": {0x2A: "array", 0x32: "kvlist"},
    "array": {0x0A: "value"},
    "kvlist": {0x0A: "key_value"},
}
"""Per message, and per head of what is around items, the tags of the fields that hold messages or
packed numbers, and what these are."""

PACKED = {"fixed": 8, "varints": 1}
"""Smallest size of one packed number."""


class Survey(NamedTuple):
    """What a walk through all depths of one message found."""

    own_most: int  # fields of the most frequent tag of the message itself
    packed: int  # packed numbers at all depths: counts and bounds of buckets
    total: int  # fields and packed numbers at all depths
    levels: int  # levels of messages below it


def survey(payload: bytes, kind: str, *, total_max: int, notes: Notes) -> Survey:
    """Return what ``payload``, a message of ``kind``, holds; stop counting above ``total_max``.

    What was counted is effort in ``notes``, also of a message that turns out to be broken. A loop
    with its own stack, so that no nesting can exhaust Python's.

    Raises:
        MalformedError: it breaks protobuf's format somewhere.
    """
    own: Counter[int] = Counter()
    total = levels = packed = 0
    waiting = [(kind, 0, len(payload), 0)]
    try:
        while waiting and total <= total_max:
            kind, start, end, level = waiting.pop()
            if kind in PACKED:
                numbers = (end - start) // PACKED[kind]
                packed += numbers
                total += numbers
                continue
            levels = max(levels, level)
            children = CHILDREN.get(kind, {})
            while start < end and total <= total_max:
                tag, content, start = find_field(payload, start, end)
                total += 1
                if level == 0:
                    own[tag] += 1
                if tag in children:
                    waiting.append((children[tag], content, start, level + 1))
    except IndexError as error:
        raise MalformedError from error
    finally:
        notes.effort += total
    return Survey(max(own.values(), default=0), packed, total, levels)


def has_too_many_parts(payload: bytes, kind: str, parts_max: int, notes: Notes) -> bool:
    """Return whether decoding the item or head ``payload`` would cost too much.

    Own parts (attributes, events, links, exemplars ...) are counted per field, those at all depths
    together, so that 10 000 links beside 10 000 events are fine and 10 000 events with
    thousands of empty attributes are not.

    Raises:
        MalformedError: it breaks protobuf's format somewhere.
    """
    found = survey(payload, kind, total_max=TOTAL_PER_OWN_MAX * parts_max, notes=notes)
    return (
        found.own_most > parts_max
        or found.packed > PACKED_PER_OWN_MAX * parts_max
        or found.total > TOTAL_PER_OWN_MAX * parts_max
    )


def reason_of_failure(payload: bytes, kind: str, level: int, notes: Notes) -> Reason:
    """Return why a message of ``kind`` at ``level`` below its request did not decode."""
    try:
        levels = survey(payload, kind, total_max=len(payload), notes=notes).levels
    except MalformedError:
        return Reason.UNDECODABLE
    return Reason.TOO_DEEP if level + levels > LEVELS_MAX else Reason.UNDECODABLE


def hides_levels(
    decoded: Message, payload: bytes, kind: str, levels_max: int, notes: Notes
) -> bool:
    """Tell whether ``payload`` nests deeper than ``levels_max`` and ``decoded`` may not show it.

    What a later member of a oneof took the place of is gone, but protobuf decoded it, as deep as it
    was. Only what can hide something is surveyed: a level takes two bytes or more, and a message
    written again is as long as it was, or shorter where a part was lost or has a shorter form.
    Where upb skips groups that break the format, no level is counted.
    """
    if len(payload) <= 2 * levels_max or decoded.ByteSize() == len(payload):
        return False
    try:
        return survey(payload, kind, total_max=len(payload), notes=notes).levels > levels_max
    except MalformedError:
        return False
