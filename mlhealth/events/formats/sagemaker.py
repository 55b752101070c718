"""SageMaker data capture: JSON lines with what went into an endpoint and what came out, as CSV, JSON or base64."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

import orjson

from mlhealth.errors import DataError
from mlhealth.events.formats.exchange import Exchange, ExchangeFormat
from mlhealth.events.formats.requests import lines


class SagemakerFormat(ExchangeFormat):
    """See the module; a record of `inferenceId` is known by it, any other by its `eventId`."""

    name = "sagemaker"

    def exchanges(self, value: bytes) -> list[Exchange | str]:
        return [_exchange(line) for line in lines(value)] or ["the message is empty"]


def _exchange(line: bytes) -> Exchange | str:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not valid JSON"
    try:
        captured, told = record["captureData"], record["eventMetadata"]
        request, answer = _part(captured["endpointInput"]), _part(captured["endpointOutput"])
        identity = str(told.get("inferenceId") or told["eventId"])
        return Exchange(request, answer, identity, told.get("inferenceTime"))
    except (KeyError, TypeError, AttributeError):
        return "captureData.endpointInput, captureData.endpointOutput and eventMetadata.eventId are needed"
    except (DataError, ValueError) as error:
        return str(error) if isinstance(error, DataError) else "a captured body cannot be read"


def _part(captured: dict[str, Any]) -> object:
    """Return one captured body: a text where it is CSV, else what its JSON says."""
    data, encoding = captured["data"], str(captured.get("encoding", "")).upper()
    kind = str(captured.get("observedContentType", "")).lower()
    if encoding == "BASE64":
        try:
            data = b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise DataError("a captured body is not base64 of text") from None
    if not isinstance(data, str):
        return data
    if encoding == "JSON" or "json" in kind:
        texts = [text for text in data.splitlines() if text.strip()]
        bodies = [orjson.loads(text) for text in texts] if "jsonlines" in kind else [orjson.loads(data)]
        return bodies if len(bodies) > 1 else bodies[0]
    return data
