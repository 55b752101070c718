"""Bodies that are written alike, brought together: many requests of one row each become one request of many rows.

The form of a body is everything of it but its values: which kind it is, the names in it, the shapes of its tensors. To
read one body of a thousand rows costs a fraction of reading a thousand bodies. A body of another form than these is
read by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from operator import itemgetter
from typing import Any, NamedTuple

from mlhealth.events.formats.answers import answer_columns, fraction
from mlhealth.events.formats.base import Reading
from mlhealth.events.formats.requests import csv_columns, request_columns

Rows = Sequence[Any]
"""Each a sequence of values, or a line of CSV."""
_MOST_SPECIFICATIONS = 32
_SPECIFICATION = itemgetter("name", "datatype", "shape")
_DATA = itemgetter("data")
_NAMED, _ROWS, _VALUES, _SPLIT, _TENSORS, _LINES = "named", "rows", "values", "split", "tensors", "lines"


Form = tuple[str, str, tuple[Any, ...]]
"""The kind of body, under which part of it the rows are, and what else is the same in all bodies of the form."""


class Tensors(NamedTuple):
    """Tensors of one row each: name, datatype and shape of every one, and how many values it has."""

    specification: list[tuple[str, str, list[int]]]
    widths: list[int]


class Forms:
    """Finds forms; remembers those of tensors, since comparing is faster than hashing."""

    def __init__(self) -> None:
        self._tensors: list[Tensors | None] = []
        self._specifications: list[list[Any]] = []

    def request(self, body: Any) -> tuple[Form, Rows] | None:
        """Return the form of a request and its rows, None where it has none of these; may raise what parsers do."""
        if isinstance(body, list):
            return _rows("", body)
        if isinstance(body, str):
            return _line(body, ())
        if not isinstance(body, dict):
            return None
        if "dataframe_split" in body:
            return _split(body["dataframe_split"])
        for part in ("instances", "dataframe_records"):
            if part in body:
                return _rows(part, body[part])
        if "inputs" in body:
            return self._tensor_rows("inputs", body["inputs"])
        return (_NAMED, "", tuple(body)), [tuple(body.values())]

    def answer(self, body: Any) -> tuple[Form, Rows] | None:
        """Return the same of a response."""
        if isinstance(body, list):
            return _rows("predictions", body)
        if isinstance(body, str):
            return _line(body, (body.count(","), isinstance(fraction(body), float)))
        if not isinstance(body, dict):
            return None
        if "outputs" in body:
            return self._tensor_rows("outputs", body["outputs"])
        if "predictions" in body:
            return _rows("predictions", body["predictions"])
        return (_NAMED, "", tuple(body)), [tuple(body.values())]

    def _tensor_rows(self, part: str, tensors: Sequence[Mapping[str, Any]]) -> tuple[Form, Rows] | None:
        number = self._number(list(map(_SPECIFICATION, tensors)))
        known = None if number is None else self._tensors[number]
        if known is None:
            return None
        values = list(map(_DATA, tensors))
        if values and values[0] and type(values[0][0]) is list:
            values = [list(chain.from_iterable(data)) for data in values]
        if list(map(len, values)) != known.widths:
            return None
        return (_TENSORS, part, (number,)), [list(chain.from_iterable(values))]

    def _number(self, specification: list[Any]) -> int | None:
        """Return by which number a specification is known; None for one too many."""
        for number, known in enumerate(self._specifications):
            if known == specification:
                return number
        if len(self._specifications) == _MOST_SPECIFICATIONS:
            return None
        self._specifications.append(specification)
        self._tensors.append(_tensors_of(specification))
        return len(self._specifications) - 1

    def names(self, form: Form) -> tuple[str | None, ...]:
        """Return the names of a row's values, None for those that have none; nothing where no value has."""
        kind, _, names = form
        if kind in {_NAMED, _SPLIT}:
            return tuple(map(str, names))
        tensors = self._tensors[names[0]] if kind == _TENSORS else None
        if tensors is None:
            return ()
        wide = ((str(name) if n == 1 else None, n) for (name, _, _), n in zip(*tensors, strict=True))
        found = tuple(chain.from_iterable([name] * n for name, n in wide))
        return found if any(found) else ()

    def request_columns(self, form: Form, rows: Rows, reading: Reading) -> Mapping[str, Any]:
        """Return the columns of many requests of one form; raises DataError or what parsers do."""
        kind, _, names = form
        if kind == _LINES:
            return csv_columns(rows, reading)
        if kind == _NAMED:
            renames = reading.payload.inputs
            columns = zip(*rows, strict=True)
            return {renames.get(name, name): values for name, values in zip(names, columns, strict=True)}
        if kind == _SPLIT:
            return request_columns({_SPLITS: {"columns": names, "data": rows}}, reading)
        return request_columns(self._body(form, rows), reading)

    def answer_columns(self, form: Form, rows: Rows, reading: Reading) -> Mapping[str, Any]:
        """Return the same of many responses."""
        if form[0] == _LINES:
            return answer_columns("\n".join(rows), reading)
        if form[0] == _NAMED:
            columns = map(list, zip(*rows, strict=True))
            return answer_columns({"predictions": dict(zip(form[2], columns, strict=True))}, reading)
        return answer_columns(self._body(form, rows), reading)

    def _body(self, form: Form, rows: Rows) -> object:
        kind, part, names = form
        if kind == _TENSORS:
            tensors = self._tensors[names[0]]
            return {part: [] if tensors is None else _together(tensors, rows)}
        found = list(chain.from_iterable(rows)) if kind == _VALUES else rows
        return {part: found} if part else found


_SPLITS = "dataframe_split"


def _split(split: Mapping[str, Any]) -> tuple[Form, Rows] | None:
    names, rows = split["columns"], split["data"]
    if not rows or not _are_lists(rows, len(names)):
        return None
    return (_SPLIT, "", tuple(names)), rows


def _rows(part: str, rows: Any) -> tuple[Form, Rows] | None:
    if not isinstance(rows, list) or not rows:
        return None
    first = rows[0]
    if isinstance(first, dict):
        names = tuple(first)
        if not names or (len(rows) > 1 and any(tuple(row) != names for row in rows)):
            return None
        return (_NAMED, part, names), [tuple(first.values())] if len(rows) == 1 else [
            tuple(r.values()) for r in rows
        ]
    if not isinstance(first, list):
        kinds = set(map(type, rows))
        single = kinds.isdisjoint((list, dict))
        return ((_VALUES, part, (float in kinds,)), [(value,) for value in rows]) if single else None
    if not first or not _are_lists(rows, len(first)):
        return None
    # one column without a name is a class or a score: whether there are fractions tells which
    fractions = len(first) == 1 and any(isinstance(row[0], float) for row in rows)
    return (_ROWS, part, (len(first), fractions)), rows


def _line(text: str, alike: tuple[Any, ...]) -> tuple[Form, Rows] | None:
    """Return one line of CSV as a row, None for more than one and for those with quotes."""
    line = text.rstrip("\r\n")
    if '"' in line or len(line.splitlines()) != 1:
        return None
    return (_LINES, "", alike), [line]


def _are_lists(rows: Sequence[Any], width: int) -> bool:
    if len(rows) == 1:
        return type(rows[0]) is list and len(rows[0]) == width
    return all(type(row) is list and len(row) == width for row in rows)


def _tensors_of(specification: list[Any]) -> Tensors | None:
    """Return tensors that are of one row each, None where any is not or has no proper shape."""
    for _, _, shape in specification:
        if (
            not isinstance(shape, list)
            or not all(type(n) is int and n >= 0 for n in shape)
            or shape[:1] != [1]
        ):
            return None
    return Tensors(specification, [prod(shape) for _, _, shape in specification])


def _together(tensors: Tensors, rows: Rows) -> list[dict[str, Any]]:
    """Return tensors of many rows."""
    columns = list(zip(*rows, strict=True))
    found, first = [], 0
    for (name, datatype, shape), width in zip(*tensors, strict=True):
        mine = columns[first : first + width]
        data = list(mine[0]) if width == 1 else list(chain.from_iterable(zip(*mine, strict=True)))
        found.append({"name": name, "datatype": datatype, "shape": [len(rows), *shape[1:]], "data": data})
        first += width
    return found
