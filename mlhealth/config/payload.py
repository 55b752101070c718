"""`models.<name>.payload`: how the request and response bodies of a serving system become a model's columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from mlhealth.clock import SECOND
from mlhealth.config.strict_model import Duration, Secret, Strict


class PayloadConfig(Strict):
    """Where the defaults do not find a model's columns in what its server logs.

    `version`: which version events that name none are of; without it, the only one that has a baseline. `features`: the
    order of the columns in a tensor or row without names; without it, the schema's. `answers`: the same of the
    response. `inputs`, `outputs`: other names of single tensors or fields, each with the column it is. `id`, `time`:
    """

    version: Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, int | float) else v)] | None = (
        None
    )
    features: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {}
    id: str | None = None
    time: str | None = None

    @property
    def renames(self) -> dict[str, str]:
        """Return the column of each field that has another name, of requests and responses together."""
        return {**self.inputs, **self.outputs}


class PairingConfig(Strict):
    """How long, and how many of, requests wait for their responses (and responses for their requests).

    `window`: a half whose other half is not there when all logs have gone on so far is counted as unpaired.
    `max_halves`, `max_bytes`: beyond either, the oldest halves are given up and counted.
    """

    window: Duration = 60 * SECOND
    max_halves: int = Field(default=500_000, ge=1)
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1024)


class SchemaRegistryConfig(Strict):
    """A schema registry with Confluent's API, for Avro, Protobuf and JSON messages that carry a schema's number."""

    url: str
    username: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    ca_file: str | None = None
    timeout: Duration = 10 * SECOND
