"""The Open Inference Protocol, V2 and V1: request and response of one inference together in one JSON object.

`{"id": …, "time": …, "request": {…}, "response": {…}}`, one or several per message, newline-separated. What a proxy or
a model server's own middleware logs; KServe's logger and Seldon send the two apart (see `kserve`, `seldon`).
"""

from __future__ import annotations

from typing import Any

import orjson

from mlhealth.events.formats.exchange import Exchange, ExchangeFormat
from mlhealth.events.formats.requests import lines


class InferenceFormat(ExchangeFormat):
    """See the module."""

    name = "inference"

    def exchanges(self, value: bytes) -> list[Exchange | str]:
        return [_exchange(line) for line in lines(value)] or ["the message is empty"]


def _exchange(line: bytes) -> Exchange | str:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not valid JSON"
    if not isinstance(found, dict) or "request" not in found or "response" not in found:
        return "an object with request and response is needed"
    request, response = found["request"], found["response"]
    return Exchange(request, response, _identity(found, request, response), found.get("time"))


def _identity(found: dict[str, Any], request: object, response: object) -> str | None:
    for part in (found, request, response):
        if isinstance(part, dict) and part.get("id") is not None:
            return str(part["id"])
    return None
