"""Protobuf with a schema registry, by Google's library and compiler (`mlhealth[protobuf]`)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlhealth.errors import ConfigError, DataError
from mlhealth.events.formats.base import WriterSchema
from mlhealth.events.formats.framed import Extracted, FramedFormat

_MAIN = "main.proto"
_TIMESTAMP = "google.protobuf.Timestamp"


class ProtobufFormat(FramedFormat):
    """See the module. Enumerations become their names; `google.protobuf.Timestamp` becomes a time."""

    name = "protobuf"
    kind = "PROTOBUF"

    def extract(self, schema: WriterSchema, values: Sequence[bytes], names: Sequence[str]) -> Extracted:
        from google.protobuf.message import DecodeError

        types = _Types(schema)
        found: dict[tuple[int, ...], tuple[list[int], list[Any]]] = {}
        faults: list[tuple[int, str]] = []
        for i, value in enumerate(values):
            try:
                path, start = _path(value)
                message = types.at(path)()
                message.ParseFromString(value[start:])
            except (DataError, DecodeError, ValueError, RuntimeError) as error:
                reason = str(error) if isinstance(error, DataError) else "not of its Protobuf schema"
                faults.append((i, reason))
                continue
            positions, messages = found.setdefault(path, ([], []))
            positions.append(i)
            messages.append(message)
        return _merged(found, names, faults)


class _Types:
    """The message types of one schema."""

    def __init__(self, schema: WriterSchema) -> None:
        self._file = _compiled(schema)

    def at(self, path: tuple[int, ...]) -> Any:
        """Return the class of the message type with these numbers, outermost first; raises DataError."""
        return _class_at(self._file, path)


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


def _path(value: bytes) -> tuple[tuple[int, ...], int]:
    """Return the numbers of the message type, and where its data begins; raises DataError."""
    count, at = _varint(value, 0)
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


def _merged(
    found: dict[tuple[int, ...], tuple[list[int], list[Any]]],
    names: Sequence[str],
    faults: Sequence[tuple[int, str]],
) -> Extracted:
    good: list[int] = []
    columns: dict[str, list[Any]] = {}
    for positions, messages in found.values():
        known = {field.name: field for field in messages[0].DESCRIPTOR.fields}
        for name in names:
            if name in known:
                column = columns.setdefault(name, [])
                column += [None] * (len(good) - len(column))
                column += _values(messages, known[name])
        good += positions
    for column in columns.values():
        column.extend([None] * (len(good) - len(column)))
    return Extracted(columns, good, faults)


def _values(messages: Sequence[Any], field: Any) -> list[Any]:
    name = field.name
    if getattr(field, "is_repeated", False):
        return ["?"] * len(messages)
    if field.message_type is not None:
        if field.message_type.full_name != _TIMESTAMP:
            return ["?" if m.HasField(name) else None for m in messages]
        return [_micros(getattr(m, name)) if m.HasField(name) else None for m in messages]
    values = [getattr(m, name) for m in messages]
    if field.enum_type is not None:
        labels = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        values = [labels.get(value, str(value)) for value in values]
    elif field.type == field.TYPE_BYTES:
        values = [value.decode("utf-8", "replace") for value in values]
    if field.has_presence:
        return [v if m.HasField(name) else None for v, m in zip(values, messages, strict=True)]
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
