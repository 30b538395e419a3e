"""YAML as a settings file may hold it; imported only where there is such a file, for the parser is large."""

from __future__ import annotations

import re
from typing import Any

import yaml

from collector.settings.layers import KEY_TWICE
from collector.settings.names import FIELDS, SECTIONS

_NAMED_KEYS = SECTIONS | {part for name in FIELDS for part in name.split(".")}
"""Keys that an error may quote; any other may be a secret in the wrong place."""


def parse(content: bytes) -> Any:
    """Return what the document says.

    Raises:
        ValueError: it is not valid YAML, or a key is in it twice; where, as ``tomllib`` says it:
            `` (at line 2, column 1)``. Nothing of the file is in the text, but for known names.
    """
    try:
        return yaml.load(content, Loader=_StrictLoader)  # noqa: S506 -- a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML{_place(error)}") from None


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a repeated key is an error, as in TOML, and not the last one wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping, if no key is in it twice."""
        seen: list[Any] = []
        for key_node, _ in node.value:
            key: Any = self.construct_object(  # pyright: ignore[reportUnknownMemberType]
                key_node, deep=deep
            )
            if key in seen:
                named = key if isinstance(key, str) and key in _NAMED_KEYS else "a key"
                raise yaml.constructor.ConstructorError(
                    problem=f"{named} {KEY_TWICE}", problem_mark=key_node.start_mark
                )
            seen.append(key)
        return super().construct_mapping(node, deep)


def _decimal(loader: _StrictLoader, node: yaml.ScalarNode) -> int | str:
    """Return a decimal number, or the text of one that YAML 1.1 alone reads as a number.

    ``1:30`` would be 90 and ``010`` eight; so written, in the environment, they are not.
    """
    text = str(loader.construct_scalar(node))
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else text


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _decimal)


def _place(error: yaml.YAMLError) -> str:
    """Return where in the document the error is."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ""
    mark = error.problem_mark
    problem = f"; {error.problem}" if (error.problem or "").endswith(KEY_TWICE) else ""
    return f" (at line {mark.line + 1}, column {mark.column + 1}){problem}"
