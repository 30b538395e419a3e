"""Which requests are the same request."""

from __future__ import annotations

import hashlib

from collector.convert.identity import request_digest
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
