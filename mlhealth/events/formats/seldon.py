"""Seldon Core 2: V2 requests and responses as Protobuf in `….inputs` and `….outputs` topics, paired by message key."""

from __future__ import annotations

from typing import Any

import orjson

from mlhealth.errors import DataError
from mlhealth.events.envelope import Half, unpacked_pair
from mlhealth.events.formats.exchange import Exchange, ExchangeFormat

_PROTOBUF = "application/x-protobuf"


class SeldonFormat(ExchangeFormat):
    """See the module; bodies may be V2's JSON too. Needs `mlhealth[protobuf]` for Protobuf."""

    name = "seldon"
    is_paired = True

    def exchanges(self, value: bytes) -> list[Exchange | str]:
        pair = unpacked_pair(value)
        moment = pair.response.time or pair.request.time or None
        return [Exchange(body_of(pair.request), body_of(pair.response), pair.request.id, moment)]


def body_of(half: Half) -> dict[str, Any]:
    """Return the parsed body of a half, whether it is JSON or Protobuf."""
    if half.data.startswith(b"{"):
        try:
            found: dict[str, Any] = orjson.loads(half.data)
        except orjson.JSONDecodeError:
            raise DataError(f"the {half.kind} is not valid JSON") from None
        return found
    from mlhealth.events.v2_protobuf import request_body, response_body

    return request_body(half.data) if half.kind == "request" else response_body(half.data)
