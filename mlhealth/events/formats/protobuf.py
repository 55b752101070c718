"""Protobuf with a schema registry, by Google's library and compiler (`mlhealth[protobuf]`)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.errors import ConfigError, DataError
from mlhealth.events.formats.base import WriterSchema
from mlhealth.events.formats.framed import HEAD, Extracted, FramedFormat

_MAIN = "main.proto"
_TIMESTAMP = "google.protobuf.Timestamp"
_AT_ONCE = 256
_NUMBERS = {1: "i4", 2: "i8", 3: "u4", 4: "u8", 5: "f8", 6: "f4"}
"""Types of numbers by the descriptor's `cpp_type`. Booleans are not among them: they must not become numbers."""


class ProtobufFormat(FramedFormat):
    """See the module. Enumerations become their names; `google.protobuf.Timestamp` becomes a time."""

    name = "protobuf"
    kind = "PROTOBUF"

    def extract(self, schema: WriterSchema, values: Sequence[bytes], names: Sequence[str]) -> list[Extracted]:
        from google.protobuf.message import DecodeError

        types = _Types(_compiled(schema), names)
        faults: list[tuple[int, str]] = []
        path, kind = b"", None
        for i, value in enumerate(values):
            try:
                if kind is None or not value.startswith(path, HEAD):
                    kind = None
                    path, kind = types.of(value)
                kind.add(i, value[HEAD + len(path) :])
            except (DataError, DecodeError, ValueError, RuntimeError) as error:
                reason = str(error) if isinstance(error, DataError) else "not of its Protobuf schema"
                faults.append((i, reason))
        return [Extracted({}, [], faults), *types.extracted()]


class _Types:
    """The types of messages of one schema that were met."""

    def __init__(self, file: Any, names: Sequence[str]) -> None:
        self._file, self._names = file, names
        self._met: dict[bytes, _Type] = {}

    def of(self, value: bytes) -> tuple[bytes, _Type]:
        """Return a framed message's path, as it is written, and its type; raises DataError."""
        numbers, end = _path(value, HEAD)
        path = value[HEAD:end]
        if path not in self._met:
            self._met[path] = _Type(_class_at(self._file, numbers), self._names)
        return path, self._met[path]

    def extracted(self) -> list[Extracted]:
        """Return what was read, type by type; a type without a good message has no columns."""
        return [kind.extracted() for kind in self._met.values() if kind.good]


class _Type:
    """Messages of one type, read into columns some at a time: while they are few, they lie in the processor's cache."""

    def __init__(self, kind: Any, names: Sequence[str]) -> None:
        known = {field.name: field for field in kind.DESCRIPTOR.fields}
        self._parse = kind.FromString
        self._columns = {name: _column_of(known[name]) for name in names if name in known}
        self._messages: list[Any] = []
        self.good: list[int] = []

    def add(self, position: int, data: bytes) -> None:
        """Parse a message; raises what the library does where it is none of this type."""
        self._messages.append(self._parse(data))
        self.good.append(position)
        if len(self._messages) == _AT_ONCE:
            self._read()

    def _read(self) -> None:
        if self._messages:
            for column in self._columns.values():
                column.read(self._messages)
            self._messages = []

    def extracted(self) -> Extracted:
        """Return everything that was added."""
        self._read()
        return Extracted({name: column.values() for name, column in self._columns.items()}, self.good)


def _column_of(field: Any) -> _Numbers | _Values:
    single = (
        field.message_type is None and field.enum_type is None and not getattr(field, "is_repeated", False)
    )
    if single and field.cpp_type in _NUMBERS:
        return _Numbers(field, _NUMBERS[field.cpp_type])
    return _Values(field)


class _Numbers:
    """A column of numbers. Only where one is zero can it be that it was not set."""

    def __init__(self, field: Any, kind: str) -> None:
        self._name, self._kind, self._has_presence = field.name, kind, field.has_presence
        self._get = attrgetter(field.name)
        self._parts: list[NDArray[np.generic]] = []
        self._unset: list[int] = []
        self._rows = 0

    def read(self, messages: Sequence[Any]) -> None:
        """Add the values of some messages."""
        part = np.fromiter(map(self._get, messages), dtype=self._kind, count=len(messages))
        if self._has_presence:
            zeros = np.flatnonzero(part == 0).tolist()
            self._unset += [self._rows + i for i in zeros if not messages[i].HasField(self._name)]
        self._parts.append(part)
        self._rows += len(messages)

    def values(self) -> pa.Array:
        """Return the column."""
        missing = np.zeros(self._rows, dtype=np.bool_)
        missing[self._unset] = True
        return pa.array(np.concatenate(self._parts), mask=missing if self._unset else None)


class _Values:
    """A column of anything else."""

    def __init__(self, field: Any) -> None:
        self._field = field
        self._values: list[Any] = []

    def read(self, messages: Sequence[Any]) -> None:
        """Add the values of some messages."""
        self._values += _values(messages, self._field)

    def values(self) -> list[Any]:
        """Return the column."""
        return self._values


@lru_cache(maxsize=1024)
def _class_at(file: Any, path: tuple[int, ...]) -> Any:
    from google.protobuf import message_factory

    types = list(file.message_types_by_name.values())
    found = None
    for number in path:
        if not 0 <= number < len(types):
            raise DataError("the message names a type that its Protobuf schema has not")
        found = types[number]
        types = list(found.nested_types)
    return message_factory.GetMessageClass(found)


def _path(value: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Return the numbers of the message type that stand at `at`, and where its data begins; raises DataError."""
    count, at = _varint(value, at)
    if count == 0:
        return (0,), at
    if not 0 < count <= 32:
        raise DataError("the message type's path is damaged")
    numbers = []
    for _ in range(count):
        number, at = _varint(value, at)
        numbers.append(number)
    return tuple(numbers), at


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """Return a zigzag-coded number, and what comes after it."""
    found = 0
    for shift in range(0, 35, 7):
        if at >= len(value):
            break
        byte = value[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (found >> 1) ^ -(found & 1), at
    raise DataError("the message type's path is damaged")


def _values(messages: Sequence[Any], field: Any) -> list[Any]:
    name = field.name
    if getattr(field, "is_repeated", False):
        return ["?"] * len(messages)
    if field.message_type is not None:
        if field.message_type.full_name != _TIMESTAMP:
            return ["?" if m.HasField(name) else None for m in messages]
        return [_micros(getattr(m, name)) if m.HasField(name) else None for m in messages]
    values = list(map(attrgetter(name), messages))
    unset = []
    if field.has_presence and not all(values):
        unset = [i for i, value in enumerate(values) if not value and not messages[i].HasField(name)]
    if field.enum_type is not None:
        labels = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        values = [labels.get(value, str(value)) for value in values]
    for i in unset:
        values[i] = None
    return values


def _micros(moment: Any) -> int:
    return int(moment.seconds) * 1_000_000 + int(moment.nanos) // 1_000


@lru_cache(maxsize=256)
def _compiled(schema: WriterSchema) -> Any:
    """Return the descriptor of a schema's file."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool
        from grpc_tools import protoc
    except ModuleNotFoundError:
        raise ConfigError("protobuf messages need a compiler; pip install 'mlhealth[protobuf]'") from None
    with tempfile.TemporaryDirectory(prefix="mlhealth-proto-") as folder:
        root = Path(folder)
        for name, text in (*schema.references, (_MAIN, schema.text)):
            file = root / name
            if not file.resolve().is_relative_to(root.resolve()):
                raise DataError("the registry's schema refers to a file outside its folder")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        known = Path(protoc.__file__).parent / "_proto"
        out = root / "out.bin"
        arguments = [
            f"-I{root}",
            f"-I{known}",
            "--include_imports",
            f"--descriptor_set_out={out}",
            str(root / _MAIN),
        ]
        if protoc.main(["protoc", *arguments]) != 0:
            raise DataError("the registry's schema is not valid Protobuf")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file_proto in files.file:
        pool.Add(file_proto)
    return pool.FindFileByName(_MAIN)
