"""Changes requests as protobuf's wire format sees them: fields, lengths and types, not just bytes.

One place in the tree of fields is changed and the request is written again with true lengths; some
changes break a length on purpose. What is no protobuf is changed as bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.convert.tags import FIXED32, FIXED64, LENGTH, START_GROUP, VARINT, varint
from collector.rows import Signal
from tests.fuzz.bytes_mutator import NASTY_TEXT, mutate_bytes
from tests.fuzz.wire_tree import Fields, Node, Raw, holders_of, raw_of, read, write
from tests.strategies import NOW_UNIX_NANO, REQUEST_TYPES

NUMBERS = (0, 1, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1)
DOUBLES = (0.0, -0.0, 1.5, 1e15, 1e-15, 5e-324, float("nan"), float("inf"), float("-inf"))
TIMES = tuple(
    NOW_UNIX_NANO + days * 86_400 * 10**9 + step for days in (-2, 0, 1) for step in (-1, 0, 1)
)
NUMBER_MAX = 2**29 - 1
COPIES_MAX = 40
GROWTH_BYTES_MAX = 2**13


def mutate_wire(signal: Signal, wire: bytes, random: Random, *, other: bytes = b"") -> bytes:
    """Return the request with one to four changes.

    Args:
        signal: tells which bytes are messages.
        wire: the request; any bytes.
        random: decides everything.
        other: another request of the signal, whose fields may be taken over.
    """
    root = read(wire, REQUEST_TYPES[signal].DESCRIPTOR)
    if root is None or random.random() < 0.1:
        return mutate_bytes(wire, random, other=other)
    for _ in range(random.randint(1, 4)):
        holders = holders_of(root)
        holder = random.choice(holders)
        if not holder:
            holder = root
        change = random.choice(_CHANGES)
        if change is _graft:
            _graft_from(holders, other, signal, random)
        elif holder:
            change(holder, random.randrange(len(holder)), random)
    return write(root)


# -- changes --------------------------------------------------------------------------------------


def _drop(fields: Fields, place: int, _: Random) -> None:
    del fields[place]


def _repeat(fields: Fields, place: int, random: Random) -> None:
    copies = random.choice((1, 1, 2, random.randint(3, COPIES_MAX)))
    copies = min(copies, 1 + GROWTH_BYTES_MAX // (1 + len(raw_of(fields[place]))))
    where = random.choice((place, len(fields)))
    fields[where:where] = [fields[place]] * copies


def _shuffle(fields: Fields, _: int, random: Random) -> None:
    random.shuffle(fields)


def _cut(fields: Fields, place: int, random: Random) -> None:
    """End the content early, but keep the frames around it true."""
    node = fields[place]
    raw = raw_of(node)
    node.content = raw[: random.randrange(len(raw) + 1)]
    node.wire_type = LENGTH


def _retype(fields: Fields, place: int, random: Random) -> None:
    """Give the field another wire type, with its bytes as they are or as that type needs them."""
    node = fields[place]
    raw = raw_of(node)
    node.wire_type = random.choice((VARINT, FIXED64, LENGTH, START_GROUP, FIXED32))
    if node.wire_type == VARINT:
        node.content = int.from_bytes(raw[:8], "little")
    elif node.wire_type in (FIXED64, FIXED32):
        size = 8 if node.wire_type == FIXED64 else 4
        node.content = raw[:size].ljust(size, b"\0")
    else:
        node.content = raw


def _renumber(fields: Fields, place: int, random: Random) -> None:
    node = fields[place]
    few = [field.number for field in node.kind.fields] if node.kind else []
    node.number = random.choice([*few, *range(1, 16), 0, 99, 1_000, NUMBER_MAX])


def _misfit(fields: Fields, place: int, random: Random) -> None:
    """Write a length that is not that of the content."""
    node = fields[place]
    raw = raw_of(node)
    size = random.choice((0, len(raw) + 1, len(raw) - 1, len(raw) + 127, 2**31, 2**32, 2**63))
    tag = varint(node.number << 3 | LENGTH)
    _replace_rest(fields, place, tag + varint(max(size, 0)) + raw)


def _pad_varint(fields: Fields, place: int, random: Random) -> None:
    """Write a tag or a length in more bytes than it needs, up to one too many."""
    node = fields[place]
    tag = varint(node.number << 3 | LENGTH)
    size = varint(len(raw_of(node)))
    padding = random.randint(1, 10)
    padded = size[:-1] + bytes([size[-1] | 128]) + b"\x80" * (padding - 1) + b"\0"
    if random.random() < 0.5:
        tag, padded = tag[:-1] + bytes([tag[-1] | 128]) + b"\0", size
    _replace_rest(fields, place, tag + padded + raw_of(node))


def _replace_rest(fields: Fields, place: int, raw: bytes) -> None:
    """Put bytes in the place of a field; what follows it stays, behind them."""
    fields[place:] = [Raw(raw + write(fields[place + 1 :]))]


def _wrap(fields: Fields, place: int, random: Random) -> None:
    """Put a field into a group, into itself, or into unknown fields, once or very often."""
    node = fields[place]
    depth = random.choice((1, 2, 20, 46, 95, 105))
    kind = random.choice((START_GROUP, LENGTH))
    for _ in range(depth):
        node = Node(random.choice((node.number, node.number, 77)), kind, [node], node.kind)
    fields[place] = node


def _nest_value(fields: Fields, place: int, random: Random) -> None:
    """Put arrays or kvlists around the value of an attribute."""
    node = fields[place]
    if node.kind is None or node.kind.full_name != AnyValue.DESCRIPTOR.full_name:
        return
    inner = node.content if isinstance(node.content, list) else []
    for _ in range(random.choice((1, 3, 30, 45, 48))):
        if random.random() < 0.5:
            inner = [Node(5, LENGTH, [Node(1, LENGTH, inner)])]
        else:
            pair = [Node(1, LENGTH, b"k"), Node(2, LENGTH, inner)]
            inner = [Node(6, LENGTH, [Node(1, LENGTH, pair)])]
    node.content = inner


def _set_text(fields: Fields, place: int, random: Random) -> None:
    node = fields[place]
    if node.wire_type != LENGTH:
        return
    nasty = random.choice(NASTY_TEXT)
    raw = raw_of(node)
    where = random.randrange(len(raw) + 1)
    node.content = random.choice((nasty, raw[:where] + nasty + raw[where:], raw * 2 + nasty))


def _set_number(fields: Fields, place: int, random: Random) -> None:
    node = fields[place]
    if node.wire_type == VARINT:
        node.content = random.choice(NUMBERS)
    elif node.wire_type == FIXED32:
        node.content = struct.pack("<I", random.choice(NUMBERS) & 2**32 - 1)
    elif node.wire_type == FIXED64:
        number = struct.pack("<Q", random.choice(random.choice((NUMBERS, TIMES))))
        node.content = random.choice((number, struct.pack("<d", random.choice(DOUBLES))))


def _pack(fields: Fields, place: int, random: Random) -> None:
    """Write a packed list field by field, or fields of one number as a packed list."""
    node = fields[place]
    if node.wire_type == LENGTH and isinstance(node.content, bytes):
        if len(node.content) % 8 == 0 and random.random() < 0.5:
            parts = [node.content[at : at + 8] for at in range(0, len(node.content), 8)]
            fields[place : place + 1] = [Node(node.number, FIXED64, part) for part in parts]
        else:
            fields[place : place + 1] = [
                Node(node.number, VARINT, byte) for byte in node.content[:COPIES_MAX]
            ]
    elif node.wire_type in (VARINT, FIXED64, FIXED32):
        fields[place] = Node(node.number, LENGTH, raw_of(node) * random.randint(1, COPIES_MAX))


def _add_known(fields: Fields, place: int, random: Random) -> None:
    """Add a field that the message around could have, empty or with what is next to it."""
    kind = next((node.kind for node in fields if node.kind), None)
    owner = kind.containing_type if kind else None
    numbers = [field.number for field in owner.fields] if owner else list(range(1, 20))
    wire_type = random.choice((LENGTH, LENGTH, VARINT, FIXED64, FIXED32))
    content: int | bytes = {
        LENGTH: random.choice((b"", random.choice(NASTY_TEXT), raw_of(fields[place]))),
        VARINT: random.choice(NUMBERS),
        FIXED64: struct.pack("<Q", random.choice(NUMBERS)),
        FIXED32: b"\xff\xff\xff\xff",
    }[wire_type]
    fields.insert(
        random.randrange(len(fields) + 1), Node(random.choice(numbers), wire_type, content)
    )


def _scramble(fields: Fields, place: int, random: Random) -> None:
    node = fields[place]
    if not isinstance(node.content, int) and node.wire_type == LENGTH:
        node.content = mutate_bytes(raw_of(node), random)


def _graft(_: Fields, _place: int, _random: Random) -> None:
    """Stand for ``_graft_from`` in the list of changes."""


def _graft_from(holders: list[Fields], other: bytes, signal: Signal, random: Random) -> None:
    """Take a field over from another request, into a message of whatever kind."""
    donor = read(other, REQUEST_TYPES[signal].DESCRIPTOR)
    nodes = [node for fields in holders_of(donor or []) for node in fields]
    if not nodes:
        return
    node = random.choice(nodes)
    alike = [
        fields
        for fields in holders
        if any((field.number, field.kind) == (node.number, node.kind) for field in fields)
    ]
    target = random.choice(alike or holders)
    target.insert(random.randrange(len(target) + 1), node)


_CHANGES: tuple[Callable[[Fields, int, Random], None], ...] = (
    _drop, _repeat, _repeat, _shuffle, _cut, _retype, _renumber, _misfit, _pad_varint, _wrap,
    _nest_value, _nest_value, _set_text, _set_text, _set_number, _set_number, _pack, _add_known,
    _scramble, _graft, _graft,
)  # fmt: skip
