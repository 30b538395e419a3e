"""Flag > environment > file > default: one ``Settings``, or one error that says what to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from collector.errors import SettingsError
from collector.settings.dsn import PARTS, merge_parts
from collector.settings.layers import Layer, from_environment, from_file, from_flags
from collector.settings.models import Settings
from collector.settings.names import CONFIG_NAME, FIELDS, allowed, environment_name

DSN = "database.dsn"
_SHOWN_CHARACTERS_MAX = 80
_NAMES_A_BOUND = ("greater_than", "less_than", "literal")
"""Types of pydantic's errors whose text holds the bound or the choices already."""


class Loaded(NamedTuple):
    """Settings, and for each that is not a default the name of where it came from."""

    settings: Settings
    origins: dict[str, str]  # "database.port" -> "DB_PORT"


def load(*, config: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Return the settings of this process; nothing is corrected or ignored in silence.

    Args:
        config: The settings file; None takes the one that ``OTLPG_CONFIG`` names, if any.
        flags: Options by dotted setting name; an option that was not given is None.
        environ: The environment; names that are not ours are not looked at.

    Raises:
        SettingsError: names the setting as the operator wrote it, its bound and its value; the
            value of a secret never.
    """
    return load_with_origins(config=config, flags=flags, environ=environ).settings


def load_with_origins(
    *, config: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str]
) -> Loaded:
    """Return the settings as ``load`` does, and where each value came from."""
    path = config or (Path(environ[CONFIG_NAME]) if environ.get(CONFIG_NAME) else None)
    layers = [from_flags(flags), *from_environment(environ)]
    if path is not None:
        layers.append(from_file(path))
    origins: dict[str, str] = {}
    for layer in layers:
        for name, label in layer.labels.items():
            origins.setdefault(name, label)
    return Loaded(_with_one_address(_validated(layers, origins), layers), origins)


def _with_one_address(settings: Settings, layers: Sequence[Layer]) -> Settings:
    """Return settings in which the database has one form of address: the URL, if there is one.

    ``dsn`` wins over the single fields wherever the store reads them, so without this a ``DB_HOST``
    in the environment would be ignored in silence when the file holds a ``dsn``.
    """
    database = settings.database
    if database.dsn is None:
        return settings
    url_rank = _rank(DSN, layers)
    stronger: dict[str, str] = {}
    weaker: dict[str, str] = {}
    for part in PARTS:
        value: Any = getattr(database, part)
        if value is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            rank = _rank(f"database.{part}", layers)
            (stronger if rank < url_rank else weaker)[part] = text
    dsn = merge_parts(database.dsn.get_secret_value(), stronger=stronger, weaker=weaker)
    cleared = dict.fromkeys(PARTS, None)
    changed = database.model_copy(update={**cleared, "dsn": SecretStr(dsn)})
    return settings.model_copy(update={"database": changed})


def _rank(name: str, layers: Sequence[Layer]) -> int:
    """Return the place of the strongest layer that gives this setting."""
    return next(place for place, layer in enumerate(layers) if name in layer.values)


def _validated(layers: Sequence[Layer], origins: Mapping[str, str]) -> Settings:
    class Merged(Settings, BaseSettings):
        """The settings, read from these layers instead of from pydantic's own sources."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
            return tuple(layers)

    try:
        merged = Merged()
    except ValidationError as error:
        # "from None": the text of pydantic's error would quote secrets.
        raise SettingsError(_explain(error, origins, _given(layers))) from None
    return Settings(**{name: getattr(merged, name) for name in Settings.model_fields})


def _given(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return what was given for each setting, before any unit was read."""
    given: dict[str, Any] = {}
    for layer in reversed(layers):
        given.update(layer.values)
    return given


def _explain(error: ValidationError, origins: Mapping[str, str], given: Mapping[str, Any]) -> str:
    """Return the first complaint in full, and on a second line the names of the others."""
    complaints = [_complaint(details, origins, given) for details in error.errors()]
    first = f"{complaints[0][0]} {complaints[0][1]}".strip()
    others = ", ".join(name for name, _ in complaints[1:])
    return f"{first}\nalso wrong: {others}" if others else first


def _complaint(
    details: ErrorDetails, origins: Mapping[str, str], given: Mapping[str, Any]
) -> tuple[str, str]:
    """Return what the operator called a setting, and what is wrong with its value."""
    name = ".".join(str(part) for part in details["loc"])
    text = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    if name not in FIELDS:  # settings that are each in bounds and do not fit together
        return "", text
    label = origins.get(name, environment_name(name))
    label = label if name in label else f"{label} ({name})"
    if is_secret(name):
        return label, f"{text[:1].lower()}{text[1:]}; its value is not shown"
    bounds = "" if details["type"].startswith(_NAMES_A_BOUND) else allowed(FIELDS[name])
    if bounds:
        text += f" ({bounds})"
    value = repr(given.get(name, details["input"]))
    if len(value) > _SHOWN_CHARACTERS_MAX:
        value = value[:_SHOWN_CHARACTERS_MAX] + "..."
    return label, f"{text[:1].lower()}{text[1:]}, but is {value}"


def is_secret(name: str) -> bool:
    """Return whether the value of this setting must never be shown."""
    return SecretStr.__name__ in repr(FIELDS[name].annotation)
