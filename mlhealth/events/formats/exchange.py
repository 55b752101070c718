"""Requests and responses as serving systems log them → events: the part that is the same whoever logged them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mlhealth.errors import DataError
from mlhealth.events.formats.answers import answer_columns
from mlhealth.events.formats.base import Format, Reading
from mlhealth.events.formats.forms import Form, Forms
from mlhealth.events.formats.requests import request_columns
from mlhealth.events.formats.tables import (
    Fault,
    Records,
    column,
    decoded,
    empty,
    joined,
    places_of,
    wanted,
)
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages
from mlhealth.events.values import columns_of_numbers

Columns = Mapping[str, Sequence[Any]]
BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
"""What a body that is not of the expected shape can make a parser raise."""
_NESTED = {dict, list}
_AT_ONCE = 512
"""Rows of which columns are made at once."""
_Place = tuple[int, int, int]
"""Of an exchange: its message's position, its first row there, which of the message's exchanges it is."""


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
                place = position, row, number
                row += together.add(place, exchange) or apart.add(place, exchange)
        parts, left = together.results(messages)
        for place in left:
            apart.add(place, self.exchanges(messages.values[place[0]])[place[2]])
        return joined([*parts, *apart.results(messages, needed=not parts)], reading.schema)


@dataclass
class _Places:
    """Where exchanges lie, how many rows each has, and what their logs say of them."""

    rows: int = 0
    found: list[tuple[_Place, int, str | None, str | int | None, float | None]] = field(default_factory=list)

    def add(self, place: _Place, n: int, exchange: Exchange) -> None:
        """Add an exchange of n rows."""
        self.rows += n
        self.found.append((place, n, exchange.id, exchange.time, exchange.fraction))

    def extend(self, more: _Places) -> None:
        """Add what another holds."""
        self.rows += more.rows
        self.found += more.found

    def records(self, columns: Mapping[str, Any], faults: Sequence[Fault] = ()) -> Records:
        """Return the events whose columns these are."""
        places, counts, ids, times, fractions = map(list, zip(*self.found, strict=True))
        positions, firsts, _ = zip(*places, strict=True)
        message, row = places_of(counts, positions)
        row = row + np.repeat(np.array(firsts, dtype=np.int64), counts)
        if self.rows != len(counts):
            ids = [name for identity, n in zip(ids, counts, strict=True) for name in _row_ids(identity, n)]
            times = [moment for moment, n in zip(times, counts, strict=True) for _ in range(n)]
            fractions = [fraction for fraction, n in zip(fractions, counts, strict=True) for _ in range(n)]
        sampled = not set(fractions) <= {None, 1.0}
        return Records(columns, message, row, faults, times, ids, fractions if sampled else None)


class _Group:
    """Exchanges whose requests are of one form, and whose answers are: their values, until they are columns."""

    def __init__(self, request: Form, answer: Form) -> None:
        self.request, self.answer = request, answer
        self.asked: list[Sequence[Any]] = []
        self.told: list[Sequence[Any]] = []
        self.places = _Places()


class _Together:
    """Exchanges that can be read many at once.

    Only their values are kept, and those until they are so many that a column of them is worth it: more parsed bodies,
    held at once, would keep the garbage collector busy and leave the processor's cache.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._wanted = wanted(reading.schema)
        self._numbers = columns_of_numbers(reading.schema)
        self._forms = Forms()
        self._groups: dict[tuple[Form, Form], _Group] = {}
        self._tables: dict[tuple[tuple[str, pa.DataType], ...], tuple[list[pa.Table], _Places]] = {}
        self._left: list[_Place] = []

    def add(self, place: _Place, exchange: Exchange | str) -> int:
        """Add an exchange and return how many rows it has; 0 for one that must be read by itself."""
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
        group.places.add(place, len(request[1]), exchange)
        if len(group.asked) >= _AT_ONCE:
            self._read(self._groups.pop(key))
        return len(request[1])

    def _read(self, group: _Group) -> None:
        """Make columns of a group; where anything is wrong with them, its exchanges are left to be read one by one."""
        try:
            asked = self._forms.request_columns(group.request, group.asked, self._reading)
            told = self._forms.answer_columns(group.answer, group.told, self._reading)
            _, found = _checked({**asked, **told}, self._wanted)
        except (DataError, *BROKEN):
            self._left += [found[0] for found in group.places.found]
            return
        columns = {name: column(values, number=name in self._numbers) for name, values in found.items()}
        types = tuple((name, found.type) for name, found in columns.items())
        tables, places = self._tables.setdefault(types, ([], _Places()))
        tables.append(pa.table(columns))
        places.extend(group.places)

    def results(self, messages: Messages) -> tuple[list[Decoded], list[_Place]]:
        """Return the events, those of one kind of columns together, and the exchanges that were left."""
        for group in self._groups.values():
            self._read(group)
        schema, parts = self._reading.schema, []
        for tables, places in self._tables.values():
            table = pa.concat_tables(tables).combine_chunks()
            columns = dict(zip(table.column_names, table.columns, strict=True))
            parts.append(decoded(messages, schema, places.records(columns)))
        return parts, self._left


class _Apart:
    """Exchanges that are read one by one: their columns, growing."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._wanted = wanted(reading.schema)
        self._columns: dict[str, list[Any]] = {}
        self._places = _Places()
        self._faults: list[Fault] = []

    def add(self, place: _Place, exchange: Exchange | str) -> int:
        """Add an exchange; return how many rows it has."""
        if isinstance(exchange, str):
            self._faults.append((place[0], place[1], exchange))
            return 1
        try:
            n, columns = _columns_of(exchange, self._reading, self._wanted)
        except (DataError, *BROKEN) as error:
            self._faults.append((place[0], place[1], _reason(error)))
            return 1
        self._extend(n, columns)
        self._places.add(place, n, exchange)
        return n

    def _extend(self, n: int, columns: Columns) -> None:
        rows = self._places.rows
        for name, values in columns.items():
            known = self._columns.get(name)
            if known is None:
                known = self._columns[name] = [None] * rows
            known.extend(values)
        for known in self._columns.values():
            if len(known) < rows + n:
                known.extend([None] * (rows + n - len(known)))

    def results(self, messages: Messages, *, needed: bool) -> list[Decoded]:
        """Return everything that was added; nothing if that is nothing, unless an empty batch is needed."""
        schema = self._reading.schema
        if self._places.rows:
            return [decoded(messages, schema, self._places.records(self._columns, self._faults))]
        return [empty(messages, schema, self._faults)] if self._faults or needed else []


def _columns_of(exchange: Exchange, reading: Reading, names: frozenset[str]) -> tuple[int, Columns]:
    """Return the rows of an exchange, and its columns of these names, all of that length.

    Raises DataError or `BROKEN`. Whatever else is there is not looked at, and no reason names it.
    """
    found = {**request_columns(exchange.request, reading), **answer_columns(exchange.answer, reading)}
    return _checked(found, names)


def _checked(found: Columns, names: frozenset[str]) -> tuple[int, Columns]:
    """Return how many rows columns have, and those of these names; raises DataError."""
    columns = {name: values for name, values in found.items() if name in names}
    if not columns:
        raise DataError("neither request nor response has a column that the schema names")
    lengths = {name: len(values) for name, values in columns.items()}
    rows = next(iter(lengths.values()))
    odd = next((name for name, length in lengths.items() if length != rows), None)
    if odd is not None:
        raise DataError(f"{odd}: {lengths[odd]} values where other columns have {rows}")
    nested = next((n for n, values in columns.items() if _is_nested(values)), None)
    if nested is not None:
        raise DataError(f"{nested}: a single value is needed")
    return rows, columns


def _is_nested(values: Sequence[Any] | pa.ChunkedArray) -> bool:
    return not isinstance(values, pa.ChunkedArray) and not _NESTED.isdisjoint(map(type, values))


def _row_ids(identity: str | None, n: int) -> list[str | None]:
    if identity is None:
        return [None] * n
    return [identity] if n == 1 else [f"{identity}-{i}" for i in range(n)]


def _reason(error: Exception) -> str:
    """Return why a message cannot be read, without its contents unless the text is ours."""
    return (
        str(error) if isinstance(error, DataError) else f"not of the expected shape ({type(error).__name__})"
    )
