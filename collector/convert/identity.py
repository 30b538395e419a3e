"""Which requests are the same request: the key of the ledger."""

from __future__ import annotations

from hashlib import sha256

from collector.rows import Signal

DIGEST_BYTES = 16


def request_digest(credential_id: bytes, signal: Signal, payload: bytes) -> bytes:
    """Return equal digests for equal requests of one sender, and different ones for all others.

    Every field is preceded by its length, so no two different triples hash the same bytes.

    Shape: ``credential_id`` is empty for anonymous senders; ``payload`` is decompressed; 16 bytes
    out, the first of SHA-256.
    """
    whole = sha256()
    for part in (credential_id, signal.encode(), payload):
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.digest()[:DIGEST_BYTES]
