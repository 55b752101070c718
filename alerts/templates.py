"""Texts of annotations and labels: `{{ estimates.accuracy.value | percent }}`, in a Jinja sandbox.

A template is tried on an example report when it is loaded, where every name must be known. Later it never fails: what
a report does not know is written as `unknown`, so that no page is lost for want of a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mlhealth.alerts.context import VOCABULARY
from mlhealth.clock import DAY, HOUR, MINUTE, SECOND, to_iso
from mlhealth.errors import ConfigError

UNKNOWN = "unknown"
LONGEST = 4_000
"""Characters of a rendered text that are kept; receivers have limits of their own."""

EXTRA = ("severity", "alertname", "since", "labels")
"""Names a template may use beside the report's."""


class Template:
    """A compiled text; immutable."""

    def __init__(self, text: str) -> None:
        """Compile `text`; raises ConfigError where it is not a template or names what no report has."""
        self.text = text
        try:
            names = meta.find_undeclared_variables(_LENIENT.parse(text))
            self._strict = _STRICT.from_string(text)
            self._lenient = _LENIENT.from_string(text)
        except jinja2.TemplateError as error:
            raise ConfigError(f"not a template: {error.message}") from None
        for name in sorted(names - {*VOCABULARY, *EXTRA}):
            near = get_close_matches(name, [*VOCABULARY, *EXTRA], n=1)
            raise ConfigError(f"unknown name {name}{f'; did you mean {near[0]}?' if near else ''}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def check(self, example: Mapping[str, Any]) -> None:
        """Render on an example in which nothing is unknown; raises ConfigError where that fails."""
        try:
            self._strict.render(example)
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            raise ConfigError(f"the template fails: {_one_line(error)}") from None

    def render(self, context: Mapping[str, Any]) -> str:
        """Return the text; never raises."""
        try:
            return self._lenient.render(context)[:LONGEST]
        except Exception as error:  # noqa: BLE001 - no page is lost for its wording
            return f"(this text could not be written: {_one_line(error)})"[:LONGEST]


def percent(value: Any, digits: int = 1) -> str:
    """Return a fraction as a percentage.

    >>> percent(0.8712)
    '87.1 %'
    """
    return UNKNOWN if _is_unknown(value) else f"{float(value) * 100:.{digits}f} %"


def number(value: Any, digits: int = 3) -> str:
    """Return a number with so many significant digits.

    >>> number(1234.5678), number(0.0123456), number(None)
    ('1,235', '0.0123', 'unknown')
    """
    if _is_unknown(value):
        return UNKNOWN
    number_ = float(value)
    return f"{number_:,.0f}" if abs(number_) >= 1000 else f"{number_:.{digits}g}"


def duration(micros: Any) -> str:
    """Return microseconds in words, in at most two units.

    >>> duration(90 * MINUTE)
    '1 h 30 min'
    """
    if _is_unknown(micros):
        return UNKNOWN
    left, parts = int(micros), []
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if left >= unit:
            parts.append(f"{left // unit} {name}")
            left %= unit
    return " ".join(parts[:2]) or "0 s"


def moment(micros: Any) -> str:
    """Return event time as ISO 8601 in UTC.

    >>> moment(0)
    '1970-01-01T00:00:00Z'
    """
    return UNKNOWN if _is_unknown(micros) else to_iso(int(micros))


def _is_unknown(value: Any) -> bool:
    if isinstance(value, jinja2.StrictUndefined):
        str(value)  # raises, naming what is undefined: the load-time check must not be calmed by a filter
    return value is None or isinstance(value, jinja2.Undefined)


class _Unknown(jinja2.ChainableUndefined):
    """Writes itself as `unknown`."""

    def __str__(self) -> str:
        return UNKNOWN


class _Sandbox(ImmutableSandboxedEnvironment):
    """Looks into mappings by key first, so that a feature called `items` is a feature."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def _finalize(value: Any) -> Any:
    return UNKNOWN if value is None else value


def _environment(undefined: type[jinja2.Undefined]) -> ImmutableSandboxedEnvironment:
    environment = _Sandbox(undefined=undefined, autoescape=False, finalize=_finalize)
    environment.filters |= {"percent": percent, "number": number, "duration": duration, "moment": moment}
    return environment


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


_STRICT = _environment(jinja2.StrictUndefined)
_LENIENT = _environment(_Unknown)
