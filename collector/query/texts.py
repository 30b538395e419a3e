"""Texts of a question that PostgreSQL can be asked about."""

from __future__ import annotations

import re
from typing import Final

from collector.errors import BadParameterError

UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What no stored text can hold: NUL, and half a surrogate pair."""


def text_of(name: str, text: str) -> str:
    """Return a text that PostgreSQL can be asked about.

    Raises:
        BadParameterError: it holds what is ``UNSTORABLE``.
    """
    if UNSTORABLE.search(text):
        raise BadParameterError(name, "must hold no NUL and no lone surrogate")
    return text
