"""How an export is written down; light, for the command line to ask."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final


class Format(StrEnum):
    """How requests are written down."""

    JSON = "json"
    PROTOBUF = "protobuf"


PROTOBUF_SUFFIXES: Final = frozenset({".pb", ".bin", ".proto", ".protobuf", ".binpb"})


def format_of(name: str) -> Format:
    """Return the format that a file's name says, also before ``.gz``; JSON unless it does."""
    suffix = Path(name.removesuffix(".gz")).suffix.lower()
    return Format.PROTOBUF if suffix in PROTOBUF_SUFFIXES else Format.JSON
