"""A `WindowReport` as JSON data and back, so that the store keeps all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from mlhealth.records import WindowReport

_REPORT = TypeAdapter(WindowReport)


def to_data(report: WindowReport) -> dict[str, Any]:
    """Return the report as plain data: dicts, lists, texts, finite numbers and None."""
    data: dict[str, Any] = _REPORT.dump_python(report, mode="json")
    return data


def from_data(data: Mapping[str, Any]) -> WindowReport:
    """Return the report that `to_data` told."""
    return _REPORT.validate_python(data)
