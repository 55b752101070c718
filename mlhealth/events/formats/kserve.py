"""KServe's logger (and Seldon Core 1's): request and response as two CloudEvents, V1 or V2 bodies, paired by id."""

from __future__ import annotations

import orjson

from mlhealth.errors import DataError
from mlhealth.events.envelope import Half, unpacked_pair
from mlhealth.events.formats.exchange import Exchange, ExchangeFormat


class KserveFormat(ExchangeFormat):
    """See the module; an event's time is its response's."""

    name = "kserve"
    is_paired = True

    def exchanges(self, value: bytes) -> list[Exchange | str]:
        pair = unpacked_pair(value)
        request, response = _body(pair.request), _body(pair.response)
        moment = pair.response.time or pair.request.time or None
        return [Exchange(request, response, pair.request.id, moment)]


def _body(half: Half) -> object:
    try:
        return orjson.loads(half.data)
    except orjson.JSONDecodeError:
        if "csv" in half.content_type:
            return half.data.decode("utf-8", "replace")
        raise DataError(f"the {half.kind} is not valid JSON") from None
