"""One fuzz case: which door it goes through, and its bytes; how cases lie in a folder.

A corpus file is what a sender would send, nothing before it and nothing behind: its name says the
door, ``traces-nul-in-name.bin`` goes to traces in protobuf, ``logs-3f2a...json`` to logs in JSON,
``http-...http`` is what one connection sends. Names after the door are words for seeds and the
start of a hash for what fuzzing found.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from collector.rows import Signal

CORPUS = Path(__file__).parent / "corpus"


class Encoding(StrEnum):
    """How the bytes are to be read; the value is how the file's name ends."""

    PROTOBUF = "bin"
    JSON = "json"
    HTTP = "http"


class Door(NamedTuple):
    """Where a case goes; ``signal`` is None where the bytes themselves say it (HTTP)."""

    encoding: Encoding
    signal: Signal | None


DOORS = (
    *(Door(Encoding.PROTOBUF, signal) for signal in Signal),
    *(Door(Encoding.JSON, signal) for signal in Signal),
    Door(Encoding.HTTP, None),
)
"""All doors; a fuzzer that knows only bytes puts the number of the door before them."""


class Case(NamedTuple):
    """What one sender sends."""

    door: Door
    data: bytes

    @classmethod
    def from_numbered(cls, numbered: bytes) -> Case:
        """Return the case in bytes whose first one chooses the door; any bytes are a case."""
        door = DOORS[(numbered[0] if numbered else 0) % len(DOORS)]
        return cls(door, numbered[1:])

    def to_numbered(self) -> bytes:
        """Return the bytes that ``from_numbered`` reads."""
        return bytes([DOORS.index(self.door)]) + self.data

    def file_name(self, words: str = "") -> str:
        """Return the name under which the case lies in a folder, of its content by default."""
        signal = self.door.signal or "http"
        return f"{signal}-{words or sha256(self.data).hexdigest()[:12]}.{self.door.encoding}"

    def save(self, folder: Path, words: str = "") -> Path:
        """Write the case into ``folder`` and return its path."""
        path = folder / self.file_name(words)
        path.write_bytes(self.data)
        return path


def load(path: Path) -> Case:
    """Return the case in a file.

    Raises:
        ValueError: its name tells no door.
    """
    encoding = Encoding(path.suffix.removeprefix("."))
    name = path.name.partition("-")[0]
    signal = None if encoding is Encoding.HTTP else Signal(name)
    return Case(Door(encoding, signal), path.read_bytes())


def load_all(folder: Path = CORPUS) -> Iterator[tuple[str, Case]]:
    """Yield the name and the case of every file of a folder, in the order of the names."""
    for path in sorted(folder.iterdir()):
        if path.suffix.removeprefix(".") in list(Encoding):
            yield path.name, load(path)
