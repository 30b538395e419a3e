"""Which requests are the same request."""

from __future__ import annotations

import hashlib

import pytest

from collector.convert.identity import STEP_BYTES, digest_steps, request_digest
from collector.rows import Signal


def test_digest_is_of_all_three_fields() -> None:
    """Lengths keep them apart; 16 bytes."""
    digests = {
        request_digest(b"", Signal.TRACES, b"x"),
        request_digest(b"a", Signal.TRACES, b"x"),
        request_digest(b"", Signal.LOGS, b"x"),
        request_digest(b"", Signal.TRACES, b""),
        request_digest(b"x", Signal.TRACES, b""),
    }

    assert len(digests) == 5
    assert {len(digest) for digest in digests} == {16}


def test_digest_is_stable() -> None:
    """Other versions must find it in the ledger."""
    fields = b"\0\0\0\0\0\0\0\x01c" + b"\0\0\0\0\0\0\0\x04logs" + b"\0\0\0\0\0\0\0\x01p"

    assert request_digest(b"c", Signal.LOGS, b"p") == hashlib.sha256(fields).digest()[:16]


@pytest.mark.parametrize("size", [0, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES])
def test_a_large_request_is_hashed_in_steps(size: int) -> None:
    """To the same digest as in one go."""
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    fields = bytes(8) + b"\0\0\0\0\0\0\0\x04logs" + size.to_bytes(8, "big") + payload

    steps = sum(1 for _ in digest_steps(b"", Signal.LOGS, payload))

    assert steps == (0 if size <= STEP_BYTES else -(-size // STEP_BYTES))
    assert request_digest(b"", Signal.LOGS, payload) == hashlib.sha256(fields).digest()[:16]
