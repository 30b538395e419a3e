"""What every model of settings is made of: its base, secrets, and lists in a single variable."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

REVEAL_SECRETS = "reveal_secrets"
"""Key of the serialisation context that writes secrets in clear; see ``worker.to_worker_json``."""


def _masked_unless_revealed(secret: SecretStr, info: SerializationInfo[Any]) -> str:
    """Return the mask, or the secret itself for a caller that asked for it by context."""
    reveal = bool(info.context) and info.context.get(REVEAL_SECRETS) is True
    return secret.get_secret_value() if reveal else str(secret)


Secret = Annotated[SecretStr, PlainSerializer(_masked_unless_revealed, when_used="json")]


def _split_list(value: object) -> object:
    """Return the parts of a text with commas between; a variable and a flag hold nothing else."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.strip("[]").split(",") if part.strip()]


Origins = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^https?://[^/\s*]+$")]],
    BeforeValidator(_split_list),
]
"""Origins as browsers send them: scheme, host and port, without a path."""

Names = Annotated[
    list[Annotated[str, StringConstraints(min_length=1)]], BeforeValidator(_split_list)
]


class Stage(BaseModel):
    """What all stage models share: unknown keys are errors, and nothing changes after start."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what YAML makes of ``workers: yes``; pydantic alone would take it for 1."""
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            kinds = (annotation, *get_args(annotation))
            if any(kind in (int, float) or type(kind) is int for kind in kinds):
                raise ValueError("must be a number")
        return value
