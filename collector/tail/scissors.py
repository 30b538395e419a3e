"""Cuts what is too long for a screen, and gives up where that would hold up the loop."""

from __future__ import annotations

from typing import Final

import orjson

from collector.items import ATTRIBUTES_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from collector.query.cutting import kept, surely_fits
from collector.query.json_text import json_text

EFFORT_MAX: Final = 10_000
"""Values that are looked at for one message, which takes some 25 ms; so do 5 MB of text."""

CHARACTERS_PER_EFFORT: Final = 512


class Scissors:
    """Cuts the attributes and bodies of one message as ``query.cutting`` has it.

    What is long has to be decoded first. Once ``EFFORT_MAX`` of that was done for a message, what
    is too long goes without a look: all of the attributes, and the end of a body.
    """

    def __init__(self) -> None:
        self._effort = 0
        self._resources: dict[int, tuple[str, bool]] = {}

    def resource(self, resource_id: int, attributes: str) -> tuple[str, bool]:
        """Return ``attributes`` of a resource, which is cut once for a message."""
        found = self._resources.get(resource_id)
        if found is None:
            found = self._resources[resource_id] = self.attributes(attributes)
        return found

    def attributes(self, json: str) -> tuple[str, bool]:
        """Return what is left of attributes, as JSON, and whether something was left out."""
        if surely_fits(json, ATTRIBUTES_CHARACTERS_MAX):
            return json, False
        if not self._may_take(json):
            return ("{}", True) if len(json) > ATTRIBUTES_CHARACTERS_MAX else (json, False)
        members = orjson.loads(json)
        rest = kept(members)
        if len(rest) == len(members):
            return json, False
        return orjson.dumps(rest).decode(), True

    def body(self, json: str) -> tuple[str, bool]:
        """Return a body that is no text, or the beginning of its text where that is too long.

        Shape: JSON and True, or a text and False.
        """
        if surely_fits(json, TEXT_CHARACTERS_MAX):
            return json, True
        if not self._may_take(json):
            return json, len(json) <= TEXT_CHARACTERS_MAX
        text = json_text(orjson.loads(json))
        return (json, True) if len(text) <= TEXT_CHARACTERS_MAX else (text, False)

    def _may_take(self, json: str) -> bool:
        self._effort += json.count(",") + len(json) // CHARACTERS_PER_EFFORT
        return self._effort <= EFFORT_MAX
