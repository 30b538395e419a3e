"""Which requests are the same request: the key of the ledger."""

from __future__ import annotations

from collections.abc import Generator
from hashlib import sha256
from typing import Final

from collector.rows import Signal

DIGEST_BYTES = 16

STEP_BYTES: Final = 2**21
"""What is hashed between two turns of the event loop: some 2 ms."""


def request_digest(credential_id: bytes, signal: Signal, payload: bytes) -> bytes:
    """Return equal digests for equal requests of one sender, and different ones for all others.

    Every field is preceded by its length, so no two different triples hash the same bytes.

    Shape: ``credential_id`` is empty for anonymous senders; ``payload`` is decompressed; 16 bytes
    out, the first of SHA-256.
    """
    steps = digest_steps(credential_id, signal, payload)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            digest: bytes = end.value
            return digest


def digest_steps(
    credential_id: bytes, signal: Signal, payload: bytes
) -> Generator[None, None, bytes]:
    """Return the same as ``request_digest``; yield between two parts of a large payload."""
    whole = sha256()
    for part in (credential_id, signal.encode()):
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    whole.update(len(payload).to_bytes(8, "big"))
    if len(payload) <= STEP_BYTES:
        whole.update(payload)
        return whole.digest()[:DIGEST_BYTES]
    view = memoryview(payload)
    for start in range(0, len(payload), STEP_BYTES):
        whole.update(view[start : start + STEP_BYTES])
        yield
    return whole.digest()[:DIGEST_BYTES]
