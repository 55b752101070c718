"""Conditions of rules, in CEL (the Common Expression Language), compiled and checked when they are loaded.

The check has three parts: CEL's own parser; every name must be in the report's vocabulary; and the condition, and
each operand of its `&&` and `||` apart (else one side would hide the other's mistake), must evaluate to a boolean on
an example report in which nothing is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import cel

from mlhealth.alerts.context import (
    ANY,
    HIGHER_IS_BETTER,
    VOCABULARY,
    context_of,
    example_circumstances,
    example_report,
    is_metric,
)
from mlhealth.errors import ConfigError

_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_NAME = r"[A-Za-z_]\w*"
_PATH = re.compile(
    rf"(?<![\w.\])])({_NAME})((?:\s*\.\s*{_NAME}\b(?!\s*\()|\s*\[\s*(?:\x00\d+\x00|{_NAME})\s*\])*)"
)
_STEP = re.compile(rf"\.\s*({_NAME})|\[\s*(?:\x00(\d+)\x00|({_NAME}))\s*\]")
METRICS = ("estimates", "realized", "record")
"""Variables whose fields are metrics."""
_WORDS = {
    "true",
    "false",
    "null",
    "in",
    "has",
    "size",
    "type",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "duration",
}

_EVALUATION_ERRORS = (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError)


@dataclass(frozen=True)
class Verdict:
    """What a condition says of a report: true, false, or unknown (`holds` None) with the reason."""

    holds: bool | None
    note: str | None = None


class Scope:
    """The variables of one report, converted once for all rules that look at it. Not thread-safe."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.variables = variables
        self.native = cel.Context(dict(variables))


class Condition:
    """A compiled condition; immutable."""

    def __init__(self, text: str) -> None:
        """Compile and check `text`; raises ConfigError saying what is wrong with it."""
        self.text = text
        self._program = _compile(text)
        _check_names(text, self._program)
        _try_out(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    def evaluate(self, scope: Scope) -> Verdict:
        """Return whether the condition holds; unknown where the report lacks a value that it needs. Never raises."""
        try:
            value = self._program.execute(scope.native)
        except KeyError as error:
            return Verdict(None, f"the report has no {error.args[0] if error.args else 'such value'}")
        except _EVALUATION_ERRORS as error:
            return Verdict(None, f"a value it needs is unknown ({_first_line(error)})")
        if isinstance(value, bool):
            return Verdict(value)
        return Verdict(None, f"gave {type(value).__name__} and not true or false")


def _compile(text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except ValueError as error:
        detail = re.search(r"<input>:(\d+):(\d+): (.*)", str(error))
        where = f"column {detail[2]}: {detail[3]}" if detail else _first_line(error)
        hint = "; write == to compare" if re.search(r"[^=!<>]=[^=]", text) else ""
        raise ConfigError(f"not a CEL expression: {where}{hint}") from None


def _check_names(text: str, program: cel.Program) -> None:
    bound = set(_BOUND.findall(_masked(text)[0]))
    for name in sorted(set(program.variables()) - bound):
        if name not in VOCABULARY:
            raise ConfigError(f"unknown variable {name}{_suggest(name, VOCABULARY)}")
    for path in _paths(text):
        _check_path(path, bound)


def _check_path(path: tuple[str, ...], bound: set[str]) -> None:
    at: Any = VOCABULARY
    for depth, name in enumerate(path):
        if at is None:
            raise ConfigError(f"{'.'.join(path[:depth])} has no field {name}")
        if name not in at and ANY not in at:
            raise ConfigError(f"{'.'.join(path[:depth])} has no field {name}{_suggest(name, at)}")
        if path[depth - 1] in METRICS and depth == 1 and name not in bound:
            _check_metric(name)
        at = at[name] if name in at else at[ANY]


def _check_metric(name: str) -> None:
    if not is_metric(name):
        raise ConfigError(f"unknown metric {name}{_suggest(name, HIGHER_IS_BETTER)}")


def _try_out(text: str) -> None:
    features = tuple(path[1] for path in _paths(text) if path[0] in ("drift", "quality") and len(path) > 1)
    metrics = {p[1] for p in _paths(text) if p[0] in METRICS and len(p) > 1}
    report = example_report(metrics=(*{*HIGHER_IS_BETTER, *metrics},), features=("income", *features))
    context = context_of(report, example_circumstances({*HIGHER_IS_BETTER, *metrics}))
    scope = cel.Context(context | {"segment": "region=eu"})
    for part in _operands(text):
        try:
            value = cel.compile(part).execute(scope)
        except _EVALUATION_ERRORS as error:
            raise ConfigError(f"{part.strip()}: {_plain(error)}") from None
        if not isinstance(value, bool):
            kind = type(value).__name__
            raise ConfigError(f"{part.strip()}: gives {kind}, but a condition must be true or false")


def _operands(text: str) -> Iterator[str]:
    """Yield each operand of && and || outside of calls, parentheses opened, before the whole that it is part of."""
    for operator in ("||", "&&"):
        parts = _split(text, operator)
        if len(parts) > 1:
            for part in parts:
                yield from _operands(part)
            yield text
            return
    inner = text.strip()
    if inner.startswith("(") and _closing(inner) == len(inner) - 1:
        yield from _operands(inner[1:-1])
    else:
        yield text


def _split(text: str, operator: str) -> list[str]:
    masked, _ = _masked(text, keep_length=True)
    depth, start, parts = 0, 0, []
    for index, char in enumerate(masked):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and masked.startswith(operator, index):
            parts.append(text[start:index])
            start = index + len(operator)
    if _split_unsafe(masked):
        return [text]
    return [*parts, text[start:]]


def _split_unsafe(masked: str) -> bool:
    """A conditional binds weaker than || and &&, so its operands cannot be told apart by them."""
    depth = 0
    for char in masked:
        depth += (char in "([{") - (char in ")]}")
        if char == "?" and depth == 0:
            return True
    return False


def _closing(text: str) -> int:
    masked, _ = _masked(text, keep_length=True)
    depth = 0
    for index, char in enumerate(masked):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return index
    return -1


def _paths(text: str) -> set[tuple[str, ...]]:
    """Return every path of fields that starts at a variable of the vocabulary."""
    masked, strings = _masked(text)
    paths = set()
    for root, rest in _PATH.findall(masked):
        if root in VOCABULARY and root not in _WORDS:
            steps = [a or (strings[int(b)] if b else ANY) for a, b, _ in _STEP.findall(rest)]
            paths.add((root, *(s for s in _until_any(steps))))
    return paths


def _until_any(steps: list[str]) -> Iterator[str]:
    for step in steps:
        if step == ANY:
            return
        yield step


def _masked(text: str, *, keep_length: bool = False) -> tuple[str, list[str]]:
    """Return the text with its string literals replaced, so that nothing in them is taken for code."""
    strings: list[str] = []

    def replace(match: re.Match[str]) -> str:
        strings.append(match[0][1:-1])
        return "_" * len(match[0]) if keep_length else f"\x00{len(strings) - 1}\x00"

    return _STRING.sub(replace, text), strings


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _plain(error: Exception) -> str:
    if isinstance(error, TypeError):
        return "the types do not fit (CEL does not mix int and double in arithmetic, nor text and numbers)"
    if isinstance(error, KeyError):
        return f"there is no {error.args[0] if error.args else 'such field'}"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    first = str(error).partition("\n")[0].partition(". ")[0].partition(": the operation")[0]
    return first or type(error).__name__
