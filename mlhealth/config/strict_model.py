"""What every configuration model shares: strictness, durations and secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, WithJsonSchema

from mlhealth.clock import parse_duration

_FILE = "file:"


class Strict(BaseModel):
    """Frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{value!r} is no duration; write a number and a unit, such as 30s, 15m, 1h")


Duration = Annotated[int, BeforeValidator(_duration), WithJsonSchema({"type": "string", "examples": ["15m"]})]
"""Microseconds, written as `15m` or `1h`."""


def _secret(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(_FILE):
        return value
    path = Path(value.removeprefix(_FILE))
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"the secret's file {path} cannot be read: {error.strerror}") from None
    if not text:
        raise ValueError(f"the secret's file {path} is empty")
    return text


Secret = Annotated[SecretStr, BeforeValidator(_secret), WithJsonSchema({"type": "string"})]
"""A secret, written as `${ENVIRONMENT_VARIABLE}` or `file:/run/secrets/name`; never shown."""
