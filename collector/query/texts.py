"""Texts of a question that PostgreSQL can be asked about."""

from __future__ import annotations

import re
from typing import Final

from collector.errors import BadParameterError

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def text_of(name: str, text: str) -> str:
    """Return a text that PostgreSQL can be asked about.

    Raises:
        BadParameterError: it holds what no stored text can hold, NUL or half a surrogate pair.
    """
    if _UNSTORABLE.search(text):
        raise BadParameterError(name, "must hold no NUL and no lone surrogate")
    return text
