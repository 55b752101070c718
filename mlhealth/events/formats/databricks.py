"""MLflow and Databricks inference tables: a row per request, its bodies as JSON texts.

Columns of both generations are read: `databricks_request_id`, `client_request_id`, `timestamp_ms` or `request_time`,
`status_code`, `sampling_fraction`, `request`, `response`. Rows come as JSON lines (an
export, a change feed on Kafka) or as an Arrow stream.
"""

from __future__ import annotations

from typing import Any

import orjson

from mlhealth.events.arrow_stream import read_stream
from mlhealth.events.formats.exchange import Exchange, ExchangeFormat
from mlhealth.events.formats.requests import lines

_ARROW_START = b"\xff\xff\xff\xff"


class DatabricksFormat(ExchangeFormat):
    """See the module."""

    name = "databricks"

    def exchanges(self, value: bytes) -> list[Exchange | str]:
        if value.startswith(_ARROW_START):
            return [_exchange(row) for row in read_stream(value).to_pylist()]
        return [_line(line) for line in lines(value)] or ["the message is empty"]


def _line(line: bytes) -> Exchange | str:
    try:
        return _exchange(orjson.loads(line))
    except orjson.JSONDecodeError:
        return "not valid JSON"


def _exchange(row: object) -> Exchange | str:
    if not isinstance(row, dict) or "request" not in row:
        return "an object with request and response is needed"
    status = row.get("status_code")
    if status is not None and status not in {200, "200"}:
        return f"the request was not answered: status {str(status)[:10]}"
    identity = row.get("client_request_id") or row.get("databricks_request_id")
    moment = row.get("timestamp_ms")
    if moment is None:
        moment = row.get("request_time")
    if not isinstance(moment, int | str | None):
        moment = str(moment)
    fraction = row.get("sampling_fraction")
    if fraction is not None and not isinstance(fraction, int | float):
        return "sampling_fraction: not a number"
    return Exchange(
        _body(row["request"]),
        _body(row.get("response")),
        str(identity) if identity else None,
        moment,
        None if fraction is None else float(fraction),
    )


def _body(value: Any) -> object:
    """Return a body, which is JSON text in a table and may be JSON itself in a message."""
    return orjson.loads(value) if isinstance(value, str | bytes) else value
