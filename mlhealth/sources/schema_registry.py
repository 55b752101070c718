"""A schema registry with Confluent's API (Confluent's own, Karapace, Apicurio's compatible one)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from mlhealth import outbound
from mlhealth.config.payload import SchemaRegistryConfig
from mlhealth.errors import DataError, SourceUnavailable
from mlhealth.events.formats.base import WriterSchema

_MOST_REFERENCES = 100
_MOST_UNKNOWN = 10_000


class SchemaRegistry:
    """Schemas by number, each asked for once: a number never changes its meaning."""

    def __init__(self, config: SchemaRegistryConfig) -> None:
        self._config = config
        self._known: dict[int, WriterSchema] = {}
        self._unknown: set[int] = set()

    def schema(self, number: int) -> WriterSchema:
        """Return a schema; raises DataError where there is none, SourceUnavailable where the registry is away."""
        found = self._known.get(number)
        if found is not None:
            return found
        if number in self._unknown:
            raise DataError(f"the schema registry knows no schema {number}")
        answer = self._get(f"/schemas/ids/{number}")
        if answer is None:
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown.add(number)
            raise DataError(f"the schema registry knows no schema {number}")
        references = tuple(self._references(answer, set()))
        found = WriterSchema(str(answer.get("schemaType", "AVRO")), str(answer["schema"]), references)
        self._known[number] = found
        return found

    def _references(self, answer: dict[str, Any], seen: set[str]) -> Iterator[tuple[str, str]]:
        """Yield the texts that a schema refers to by import name, what they refer to first."""
        for reference in answer.get("references") or ():
            name = str(reference["name"])
            if name in seen or len(seen) >= _MOST_REFERENCES:
                continue
            seen.add(name)
            path = f"/subjects/{reference['subject']}/versions/{reference['version']}"
            found = self._get(path)
            if found is None:
                raise DataError(f"the schema registry lacks {reference['subject']}, which a schema refers to")
            yield from self._references(found, seen)
            yield name, str(found["schema"])

    def _get(self, path: str) -> dict[str, Any] | None:
        """Return the registry's answer, None where it knows no such thing."""
        try:
            with self._client() as client:
                answer = client.get(path)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise SourceUnavailable(f"schema registry {self._config.url}: {said}") from error
        return found if isinstance(found, dict) else None

    def _client(self) -> httpx.Client:
        """Return a client for one request: no number is asked for twice, so a kept connection would only idle."""
        config = self._config
        auth = None
        if config.username is not None and config.password is not None:
            auth = httpx.BasicAuth(config.username, config.password.get_secret_value())
        bearer = (
            {} if config.token is None else {"Authorization": f"Bearer {config.token.get_secret_value()}"}
        )
        return outbound.client(
            base_url=config.url.rstrip("/"),
            auth=auth,
            headers={"Accept": "application/vnd.schemaregistry.v1+json", **bearer},
            timeout=config.timeout / 1e6,
            ca_file=config.ca_file,
        )
