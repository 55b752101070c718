"""Requests and responses as serving systems log them → events: the part that is the same whoever logged them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlhealth.errors import DataError
from mlhealth.events.formats.answers import answer_columns
from mlhealth.events.formats.base import Format, Reading
from mlhealth.events.formats.requests import request_columns
from mlhealth.events.formats.tables import Fault, Records, decoded, empty, places_of
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages

Columns = Mapping[str, Sequence[Any]]
BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
"""What a body that is not of the expected shape can make a parser raise."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer, parsed: what was asked (one row or many), what was answered, by which id, and when.

    `time`: ISO 8601 or an epoch number; `fraction`: of requests like it that were logged. None where the log does not
    say.
    """

    request: object
    answer: object
    id: str | None = None
    time: str | int | None = None
    fraction: float | None = None


class ExchangeFormat(Format):
    """A format whose messages hold exchanges; the events of one with several rows are called `id-0`, `id-1`."""

    @abstractmethod
    def exchanges(self, value: bytes) -> list[Exchange | str]:
        """Return the exchanges of one message; a text says what was wrong instead of one. May raise `BROKEN`."""

    def decode(self, messages: Messages, reading: Reading) -> Decoded:
        gathered = _Gathered(reading)
        for position, value in enumerate(messages.values):
            try:
                found = self.exchanges(value)
            except (DataError, *BROKEN) as error:
                found = [_reason(error)]
            row = 0
            for exchange in found:
                row += gathered.add(position, row, exchange)
        return gathered.result(messages)


class _Gathered:
    """The columns of many exchanges, growing."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._wanted = wanted(reading)
        self._columns: dict[str, list[Any]] = {}
        self._counts: list[int] = []
        self._positions: list[int] = []
        self._firsts: list[int] = []
        self._ids: list[str | None] = []
        self._times: list[str | int | None] = []
        self._fractions: list[float | None] = []
        self._faults: list[Fault] = []
        self._rows = 0

    def add(self, position: int, row: int, exchange: Exchange | str) -> int:
        """Add an exchange, the first of whose rows is `row` of its message; return how many rows it has."""
        if isinstance(exchange, str):
            self._faults.append((position, row, exchange))
            return 1
        try:
            n, columns = columns_of(exchange, self._reading, self._wanted)
        except (DataError, *BROKEN) as error:
            self._faults.append((position, row, _reason(error)))
            return 1
        self._extend(n, columns)
        self._positions.append(position)
        self._firsts.append(row)
        self._counts.append(n)
        self._times += [exchange.time] * n
        self._fractions += [exchange.fraction] * n
        self._ids += _row_ids(exchange.id, n)
        return n

    def _extend(self, n: int, columns: Columns) -> None:
        for name, values in columns.items():
            known = self._columns.get(name)
            if known is None:
                known = self._columns[name] = [None] * self._rows
            known.extend(values)
        self._rows += n
        for known in self._columns.values():
            if len(known) < self._rows:
                known.extend([None] * (self._rows - len(known)))

    def result(self, messages: Messages) -> Decoded:
        """Return everything that was added."""
        schema = self._reading.schema
        if not self._rows:
            return empty(messages, schema, self._faults)
        message, row = places_of(self._counts, self._positions)
        row = row + places_of(self._counts, self._firsts)[0]
        sampled = any(fraction not in {None, 1.0} for fraction in self._fractions)
        records = Records(
            self._columns,
            message,
            row,
            self._faults,
            self._times,
            self._ids,
            self._fractions if sampled else None,
        )
        return decoded(messages, schema, records)


def columns_of(exchange: Exchange, reading: Reading, names: frozenset[str]) -> tuple[int, Columns]:
    """Return the rows of an exchange, and its columns of these names, all of that length.

    Raises DataError or `BROKEN`. Whatever else is there is not looked at, and no reason names it.
    """
    found = {**request_columns(exchange.request, reading), **answer_columns(exchange.answer, reading)}
    columns = {name: values for name, values in found.items() if name in names}
    if not columns:
        raise DataError("neither request nor response has a column that the schema names")
    lengths = {name: len(values) for name, values in columns.items()}
    rows = next(iter(lengths.values()))
    odd = next((name for name, length in lengths.items() if length != rows), None)
    if odd is not None:
        raise DataError(f"{odd}: {lengths[odd]} values where other columns have {rows}")
    return rows, {name: _single(name, values) for name, values in columns.items()}


def wanted(reading: Reading) -> frozenset[str]:
    """Return every column that a schema reads from an event."""
    return frozenset(reading.schema.columns)


def _single(name: str, values: Sequence[Any]) -> Sequence[Any]:
    if any(isinstance(value, dict | list) for value in values):
        raise DataError(f"{name}: a single value is needed")
    return values


def _row_ids(identity: str | None, n: int) -> list[str | None]:
    if identity is None:
        return [None] * n
    return [identity] if n == 1 else [f"{identity}-{i}" for i in range(n)]


def _reason(error: Exception) -> str:
    """Return why a message cannot be read, without its contents unless the text is ours."""
    return (
        str(error) if isinstance(error, DataError) else f"not of the expected shape ({type(error).__name__})"
    )
