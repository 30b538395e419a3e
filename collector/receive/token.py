"""The text of an API key: ``otlpg_<id>_<secret>``, all lowercase hex, 87 characters.

The prefix lets scanners of repositories and logs find a key that leaked; the id is public and names
the row; the secret has 256 bits of the system's randomness. There is no checksum: a key that was cut
or mistyped is not in the table either.

What is stored is SHA-256 of the secret. A slow hash (argon2, bcrypt) protects secrets that people
choose and that can be guessed; 256 random bits cannot, and a slow hash at each request would be a
gift to whoever wants to keep us busy.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import StrEnum
from typing import Final, NamedTuple

from collector.errors import UnauthenticatedError

_TOKEN: Final = re.compile(r"otlpg_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)


class Scope(StrEnum):
    """What a key allows. Each is by itself: admin does not include ingest."""

    INGEST = "ingest"
    """Send telemetry."""
    QUERY = "query"
    """Read: ``/metrics`` today."""
    ADMIN = "admin"
    """Operate: ``/metrics`` today."""


class Token(NamedTuple):
    """A key in the hand of its owner."""

    id: str
    secret: str

    @classmethod
    def new(cls) -> Token:
        """Return a key that nobody has."""
        return cls(secrets.token_hex(8), secrets.token_hex(32))

    @classmethod
    def parse(cls, text: str) -> Token:
        """Return the key that ``text`` is.

        Raises:
            UnauthenticatedError: it is none; its own text is never quoted.
        """
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise UnauthenticatedError
        return cls(match[1], match[2])

    @property
    def text(self) -> str:
        """What a sender writes into its header."""
        return f"otlpg_{self.id}_{self.secret}"

    @property
    def hash(self) -> bytes:
        """What the table holds: 32 bytes."""
        return hashlib.sha256(self.secret.encode()).digest()

    def __repr__(self) -> str:
        """Return the key without its secret, for whoever prints one by mistake."""
        return f"Token({self.id})"
