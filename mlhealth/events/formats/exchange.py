"""Requests and responses as serving systems log them → events: the part that is the same whoever logged them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mlhealth.errors import DataError
from mlhealth.events.formats.answers import answer_columns
from mlhealth.events.formats.base import Format, Reading
from mlhealth.events.formats.forms import Form, Forms
from mlhealth.events.formats.requests import request_columns
from mlhealth.events.formats.tables import Fault, Records, decoded, empty, joined, places_of
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages

Columns = Mapping[str, Sequence[Any]]
BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
"""What a body that is not of the expected shape can make a parser raise."""
_NESTED = {dict, list}


class Exchange(NamedTuple):
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
        together, apart = _Together(reading), _Apart(reading)
        for position, value in enumerate(messages.values):
            try:
                found = self.exchanges(value)
            except (DataError, *BROKEN) as error:
                found = [_reason(error)]
            row = 0
            for number, exchange in enumerate(found):
                n = together.add((position, row, number), exchange)
                row += n or apart.add(position, row, exchange)
        parts, left = together.results(messages)
        for position, row, number in left:
            apart.add(position, row, self.exchanges(messages.values[position])[number])
        if apart.faults or apart.places.rows or not parts:
            parts.append(apart.result(messages))
        return joined(parts, reading.schema)


_Place = tuple[int, int, int]
"""Of an exchange: its message's position, its first row there, which of the message's exchanges it is."""


class _Places:
    """Where exchanges lie, and what their logs say of them."""

    def __init__(self) -> None:
        self.rows = 0
        self._positions: list[int] = []
        self._firsts: list[int] = []
        self._counts: list[int] = []
        self._ids: list[str | None] = []
        self._times: list[str | int | None] = []
        self._fractions: list[float | None] = []

    def add(self, position: int, row: int, n: int, exchange: Exchange) -> None:
        """Add an exchange of n rows, the first of which is `row` of its message."""
        self._positions.append(position)
        self._firsts.append(row)
        self._counts.append(n)
        self.rows += n
        if n == 1:
            self._ids.append(exchange.id)
            self._times.append(exchange.time)
            self._fractions.append(exchange.fraction)
            return
        self._ids += [None if exchange.id is None else f"{exchange.id}-{i}" for i in range(n)]
        self._times += [exchange.time] * n
        self._fractions += [exchange.fraction] * n

    def records(self, columns: Columns, faults: Sequence[Fault] = ()) -> Records:
        """Return the events whose columns these are."""
        message, row = places_of(self._counts, self._positions)
        row = row + places_of(self._counts, self._firsts)[0]
        fractions = None if set(self._fractions) <= {None, 1.0} else self._fractions
        return Records(columns, message, row, faults, self._times, self._ids, fractions)


@dataclass
class _Group:
    """Exchanges whose requests are of one form, and whose answers are."""

    request: Form
    answer: Form
    asked: list[Sequence[Any]] = field(default_factory=list)
    told: list[Sequence[Any]] = field(default_factory=list)
    lying: list[_Place] = field(default_factory=list)
    places: _Places = field(default_factory=_Places)


class _Together:
    """Exchanges that can be read many at once."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._wanted = wanted(reading)
        self._forms = Forms()
        self._groups: dict[tuple[Form, Form], _Group] = {}

    def add(self, place: _Place, exchange: Exchange | str) -> int:
        """Add an exchange and return how many rows it has; 0 for one that must be read by itself.

        Only its values are kept: many parsed bodies, held at once, would keep the garbage collector busy.
        """
        if isinstance(exchange, str):
            return 0
        try:
            request, answer = self._forms.request(exchange.request), self._forms.answer(exchange.answer)
            if request is None or answer is None or len(request[1]) != len(answer[1]):
                return 0
            key = request[0], answer[0]
            group = self._groups.get(key)
        except BROKEN:
            return 0
        if group is None:
            group = self._groups[key] = _Group(*key)
        group.asked += request[1]
        group.told += answer[1]
        group.lying.append(place)
        group.places.add(place[0], place[1], len(request[1]), exchange)
        return len(request[1])

    def results(self, messages: Messages) -> tuple[list[Decoded], list[_Place]]:
        """Return the events, group by group, and the exchanges of groups in which anything is wrong."""
        found: list[Decoded] = []
        left: list[_Place] = []
        for group in self._groups.values():
            try:
                columns = self._columns(group)
            except (DataError, *BROKEN):
                left += group.lying
                continue
            found.append(decoded(messages, self._reading.schema, group.places.records(columns)))
        return found, left

    def _columns(self, group: _Group) -> Columns:
        asked = self._forms.request_columns(group.request, group.asked, self._reading)
        told = self._forms.answer_columns(group.answer, group.told, self._reading)
        return _checked({**asked, **told}, self._wanted)[1]


class _Apart:
    """Exchanges that are read one by one: their columns, growing."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._wanted = wanted(reading)
        self._columns: dict[str, list[Any]] = {}
        self.places = _Places()
        self.faults: list[Fault] = []

    def add(self, position: int, row: int, exchange: Exchange | str) -> int:
        """Add an exchange, the first of whose rows is `row` of its message; return how many rows it has."""
        if isinstance(exchange, str):
            self.faults.append((position, row, exchange))
            return 1
        try:
            n, columns = columns_of(exchange, self._reading, self._wanted)
        except (DataError, *BROKEN) as error:
            self.faults.append((position, row, _reason(error)))
            return 1
        self._extend(n, columns)
        self.places.add(position, row, n, exchange)
        return n

    def _extend(self, n: int, columns: Columns) -> None:
        rows = self.places.rows
        for name, values in columns.items():
            known = self._columns.get(name)
            if known is None:
                known = self._columns[name] = [None] * rows
            known.extend(values)
        for known in self._columns.values():
            if len(known) < rows + n:
                known.extend([None] * (rows + n - len(known)))

    def result(self, messages: Messages) -> Decoded:
        """Return everything that was added."""
        if not self.places.rows:
            return empty(messages, self._reading.schema, self.faults)
        return decoded(messages, self._reading.schema, self.places.records(self._columns, self.faults))


def columns_of(exchange: Exchange, reading: Reading, names: frozenset[str]) -> tuple[int, Columns]:
    """Return the rows of an exchange, and its columns of these names, all of that length.

    Raises DataError or `BROKEN`. Whatever else is there is not looked at, and no reason names it.
    """
    found = {**request_columns(exchange.request, reading), **answer_columns(exchange.answer, reading)}
    return _checked(found, names)


def _checked(found: Columns, names: frozenset[str]) -> tuple[int, Columns]:
    """Return how many rows columns have, and those of these names."""
    columns = {name: values for name, values in found.items() if name in names}
    if not columns:
        raise DataError("neither request nor response has a column that the schema names")
    lengths = {name: len(values) for name, values in columns.items()}
    rows = next(iter(lengths.values()))
    odd = next((name for name, length in lengths.items() if length != rows), None)
    if odd is not None:
        raise DataError(f"{odd}: {lengths[odd]} values where other columns have {rows}")
    nested = next((n for n, values in columns.items() if not _NESTED.isdisjoint(map(type, values))), None)
    if nested is not None:
        raise DataError(f"{nested}: a single value is needed")
    return rows, columns


def wanted(reading: Reading) -> frozenset[str]:
    """Return every column that a schema reads from an event."""
    return frozenset(reading.schema.columns)


def _reason(error: Exception) -> str:
    """Return why a message cannot be read, without its contents unless the text is ours."""
    return (
        str(error) if isinstance(error, DataError) else f"not of the expected shape ({type(error).__name__})"
    )
