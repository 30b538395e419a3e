"""Where values come from: flags, environment and file, each as a layer that knows its names.

A layer remembers what the operator called each value (``--grpc-port``, ``DB_PORT``,
``ingest.flushers in otlpg.yaml``), so that an error can name exactly what has to change.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from collector.errors import SettingsError
from collector.settings.names import (
    ALIASES,
    CLIENT_NAMES,
    CONFIG_NAME,
    ENVIRONMENT,
    FIELDS,
    FLAGS,
    PREFIX,
    SECTIONS,
    is_kubernetes_noise,
    suggestion,
)

KEY_TWICE = "is given twice"
OWN_TESTS_PREFIX = "OTLPG_TEST_"
"""Names that otlpg's test suite reads; a daemon started by a test inherits them."""


class Layer(PydanticBaseSettingsSource):
    """Values of one origin by dotted setting name, each with the name its origin gives it."""

    def __init__(self, values: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        super().__init__(BaseSettings)
        self.values = dict(values)
        self.labels = dict(labels)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return one top-level value; ``__call__`` returns all of them at once."""
        del field
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values nested as the models are."""
        nested: dict[str, Any] = {}
        for name, value in self.values.items():
            section, _, leaf = name.rpartition(".")
            (nested.setdefault(section, {}) if section else nested)[leaf] = value
        return nested


def from_flags(flags: Mapping[str, Any]) -> Layer:
    """Return the options that were typed; ``None`` means that one was not."""
    given = {name: value for name, value in flags.items() if value is not None}
    return Layer(given, {name: FLAGS.get(name, name) for name in given})


def from_environment(environ: Mapping[str, str]) -> list[Layer]:
    """Return our own names, then each group of aliases, the strongest first.

    An empty variable counts as not set, as a Compose file or a shell leaves it behind.

    Raises:
        SettingsError: an ``OTLPG_`` name that is no setting, and no work of Kubernetes.
    """
    _refuse_unknown_names(environ)
    layers: list[Layer] = []
    for names in (ENVIRONMENT, *ALIASES):
        found = {
            setting: name
            for name, setting in names.items()
            if environ.get(name)
            and (names is ENVIRONMENT or not is_kubernetes_noise(name, environ[name]))
        }
        layers.append(Layer({s: environ[name] for s, name in found.items()}, found))
    return layers


def _refuse_unknown_names(environ: Mapping[str, str]) -> None:
    for name in sorted(environ):
        if (
            not name.upper().startswith(PREFIX)
            or name in ENVIRONMENT
            or name == CONFIG_NAME
            or name in CLIENT_NAMES
            or name.startswith(OWN_TESTS_PREFIX)
            or is_kubernetes_noise(name, environ[name])
        ):
            continue
        raise SettingsError(f"{name} in the environment is no setting{_meant(name)}")


def _meant(name: str) -> str:
    """Return a suggestion for a wrong environment name, a name without our prefix included."""
    upper = name.upper()
    members = [known for known in ENVIRONMENT if known.startswith(f"{upper}__")]
    if members:
        return f" but a group of them, such as {members[0]}"
    plain = upper.removeprefix(PREFIX)
    if any(plain in group for group in ALIASES):
        return f"; did you mean {plain}?"
    return suggestion(upper, (*ENVIRONMENT, CONFIG_NAME, *CLIENT_NAMES))


def from_file(path: Path) -> Layer:
    """Return the values of a YAML or TOML file; an empty file is a file without values.

    Raises:
        SettingsError: the file cannot be read, or holds a key that is no setting.
    """
    readers: dict[str, Callable[[bytes], Any]] = {
        ".yaml": _yaml,
        ".yml": _yaml,
        ".toml": _toml,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SettingsError(f"{path}: a settings file ends in .yaml, .yml or .toml")
    try:
        content = reader(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except (ValueError, RecursionError) as error:
        # The parser's own text quotes the line, and the line may hold a password.
        raise SettingsError(
            f"{path} is not valid {path.suffix[1:].upper()}{_place(error)}"
        ) from None
    values = _flatten(content, path)
    return Layer(values, {name: f"{name} in {path}" for name in values})


def _yaml(content: bytes) -> Any:
    from collector.settings import yaml_text  # a parser that hardly any process needs

    return yaml_text.parse(content)


def _toml(content: bytes) -> Any:
    return tomllib.loads(content.decode("utf-8-sig"))


def _place(error: Exception) -> str:
    """Return where in the file the error is, without any of the file's text."""
    match = re.search(rf" \(at (line \d+, column \d+)\)(; [\w ]+ {KEY_TWICE})?$", str(error))
    return f" ({match[1]}){match[2] or ''}" if match else ""


def _flatten(content: Any, path: Path) -> dict[str, Any]:
    """Return nested sections as dotted names, after checking each of them."""
    values: dict[str, Any] = {}
    for key, value in _mapping(content, "the file", path).items():
        if key in SECTIONS:
            for leaf, inner in _mapping(value, key, path).items():
                values[_new(f"{key}.{leaf}", values, path)] = inner
        else:
            values[_new(str(key), values, path)] = value
    return {name: value for name, value in values.items() if value is not None}


def _mapping(content: Any, name: str, path: Path) -> Mapping[Any, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{name} in {path} must be a group of settings")
    return content  # pyright: ignore[reportUnknownVariableType] -- keys are checked one by one


def _new(name: str, values: Mapping[str, Any], path: Path) -> str:
    """Return the name of a setting that the file did not give before."""
    if name in values:  # once as ``receive.slots:`` and once below ``receive:``
        raise SettingsError(f"{name} in {path} {KEY_TWICE}")
    if name not in FIELDS:
        raise SettingsError(f"{name} in {path} is no setting{suggestion(name, FIELDS)}")
    return name
