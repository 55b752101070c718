"""How a logger's batches travel: over HTTP to mlhealth's inbox, through a Kafka producer, or into a list for tests."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

_COMPRESSED = 2_000
_BUSY = (429, 500, 502, 503, 504)


class Retry(Exception):
    """The batch was not taken, but may be when it is sent again, after so many seconds (None: not said)."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Transport(Protocol):
    """Takes batches of events, as newline-separated JSON."""

    def send(self, model: str, version: str, body: bytes, key: str) -> None:
        """Send a batch; `key` is the same for each try. Raises Retry, or anything else where no retry can help."""


class Memory:
    """Keeps events in a list."""

    def close(self) -> None:
        """Do nothing: the events stay."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def send(self, model: str, version: str, body: bytes, key: str) -> None:
        """Keep a batch."""
        self.events += [json.loads(line) for line in body.split(b"\n")]


class Http:
    """Sends batches to `POST /v1/models/{model}/versions/{version}/events` of a service at `url`."""

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 10.0, ca_file: str | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is no http or https address")
        self._https = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._token, self._timeout = token, timeout
        self._tls = ssl.create_default_context(cafile=ca_file) if self._https else None
        self._connection: http.client.HTTPConnection | None = None

    def send(self, model: str, version: str, body: bytes, key: str) -> None:
        """Send a batch; the connection is kept for the next."""
        path = f"{self._path}/v1/models/{quote(model, safe='')}/versions/{quote(version, safe='')}/events"
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if len(body) > _COMPRESSED:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        try:
            connection = self._opened()
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            said = answer.read(2_000)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Retry(f"{self._host}: {type(error).__name__}: {error}") from error
        if answer.status in _BUSY:
            raise Retry(f"{self._host}: answered {answer.status}", _seconds(answer.getheader("Retry-After")))
        if answer.status >= 300:
            raise RuntimeError(
                f"{self._host}: answered {answer.status}: {said[:200].decode('utf-8', 'replace')}"
            )

    def _opened(self) -> http.client.HTTPConnection:
        if self._connection is None:
            if self._https:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout, context=self._tls
                )
            else:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        return self._connection

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Kafka:
    """Sends batches as messages to a topic, through a producer of yours (kafka-python's or confluent-kafka's)."""

    def __init__(self, producer: Any, topic: str) -> None:
        self._producer, self._topic = producer, topic

    def send(self, model: str, version: str, body: bytes, key: str) -> None:
        """Hand a batch to the producer, which has its own retries."""
        headers = [("mlhealth-model", model.encode()), ("mlhealth-version", version.encode())]
        if hasattr(self._producer, "produce"):
            self._producer.produce(self._topic, value=body, headers=headers)
            self._producer.poll(0)
        else:
            self._producer.send(self._topic, value=body, headers=headers)


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
