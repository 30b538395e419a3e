"""A case into another case of the same door, changed as its encoding has it."""

from __future__ import annotations

from random import Random

from tests.fuzz.bytes_mutator import mutate_bytes
from tests.fuzz.case import Case, Encoding
from tests.fuzz.json_mutator import mutate_json
from tests.fuzz.wire_mutator import mutate_wire

BYTES_MAX = 300_000
"""A case that would become larger is left as it is: a finding is to be looked at."""


def mutate(case: Case, random: Random, *, other: bytes = b"") -> Case:
    """Return the case with a few changes, or as it is where they would make it too large.

    Args:
        case: left as it is.
        random: decides everything.
        other: bytes of another case of the door, of which parts may be taken over.
    """
    encoding, signal = case.door
    if encoding is Encoding.JSON:
        try:
            data = mutate_json(case.data, random, other=other)
        except RecursionError:  # copied into itself again and again, too deep for Python to copy
            return case
    elif signal is None:
        data = mutate_bytes(case.data, random, other=other)
    else:
        data = mutate_wire(signal, case.data, random, other=other)
    return Case(case.door, data) if len(data) <= BYTES_MAX else case
