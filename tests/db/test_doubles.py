"""jsonb keeps every double: its numeric would change some, so those are tagged."""

from __future__ import annotations

import math
import struct
from random import Random

import pytest

from collector.convert.values import double_json
from collector.restore.values import double, load
from collector.store.pool import Connection

_EDGES = (1e-15, 1e-4, 1.0, 1e14, 1e15, 1e16, 2.0**53, 5e-324, 2.2250738585072014e-308)


def _doubles() -> list[float]:
    """Return each edge with its neighbours, of both signs, and many others of every size."""
    dice = Random("doubles")
    chosen = [math.nan, math.inf, 0.0, 0.1, 123_456_789_012_345.6, 1.7976931348623157e308]
    for edge in _EDGES:
        chosen += [math.nextafter(edge, 0), edge, math.nextafter(edge, math.inf)]
    for _ in range(10_000):
        chosen.append(dice.uniform(-1, 1) * 10 ** dice.randint(-16, 16))
        chosen.append(float(dice.randint(-(10**15), 10**15)))
        chosen.extend(struct.unpack("d", dice.randbytes(8)))
    return chosen + [-number for number in chosen]


def _bits(number: float) -> bytes:
    """Return the eight bytes of a double; all NaNs share theirs."""
    return struct.pack("d", math.nan if math.isnan(number) else number)


@pytest.mark.postgres_versions
async def test_doubles_come_back_bit_by_bit(connection: Connection) -> None:
    """Every double is a double again, and the same one, also as jsonb writes it anew."""
    doubles = _doubles()

    texts = await connection.fetch(
        "SELECT number::text FROM unnest($1::jsonb[]) WITH ORDINALITY AS t (number, place)"
        " ORDER BY place",
        [double_json(number) for number in doubles],
    )

    forms = [load(text) for (text,) in texts]
    assert not any(isinstance(form, int) for form in forms)
    assert [_bits(double(form)) for form in forms] == [_bits(number) for number in doubles]
