"""The Open Inference Protocol's gRPC messages, built from their field numbers: no generated code, no compiler.

Field numbers are those of the protocol's published `open_inference_grpc.proto`.
"""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from mlhealth.errors import DataError

_Field = descriptor_pb2.FieldDescriptorProto
_CONTENTS = (
    ("bool_contents", _Field.TYPE_BOOL),
    ("int_contents", _Field.TYPE_INT32),
    ("int64_contents", _Field.TYPE_INT64),
    ("uint_contents", _Field.TYPE_UINT32),
    ("uint64_contents", _Field.TYPE_UINT64),
    ("fp32_contents", _Field.TYPE_FLOAT),
    ("fp64_contents", _Field.TYPE_DOUBLE),
    ("bytes_contents", _Field.TYPE_BYTES),
)
_FIELD_NAMES = tuple(name for name, _ in _CONTENTS)
_FIELDS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
}  # fmt: skip
"""In which field each datatype's values are."""
_RAW = {
    "BOOL": "?", "INT8": "<b", "INT16": "<h", "INT32": "<i", "INT64": "<q", "UINT8": "<B", "UINT16": "<H",
    "UINT32": "<I", "UINT64": "<Q", "FP16": "<e", "FP32": "<f", "FP64": "<d",
}  # fmt: skip
_SINGLE = {datatype: Struct(kind) for datatype, kind in _RAW.items()}
_MANY = {datatype: np.dtype(kind) for datatype, kind in _RAW.items()}
"""How one raw value, and how many, are read."""


def request_body(data: bytes) -> dict[str, Any]:
    """Return a ModelInferRequest as the JSON form of V2 would write it; raises DataError."""
    message = _parsed("ModelInferRequest", data)
    return _body(message, "inputs", message.inputs, message.raw_input_contents)


def response_body(data: bytes) -> dict[str, Any]:
    """Return a ModelInferResponse as the JSON form of V2 would write it; raises DataError."""
    message = _parsed("ModelInferResponse", data)
    return _body(message, "outputs", message.outputs, message.raw_output_contents)


@cache
def message_type(name: str) -> Any:
    """Return the class of `ModelInferRequest` or `ModelInferResponse`."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}"))


def _parsed(name: str, data: bytes) -> Any:
    message = message_type(name)()
    try:
        message.ParseFromString(data)
    except (DecodeError, ValueError, RuntimeError):
        raise DataError(f"not a {name} of the Open Inference Protocol") from None
    return message


def _body(message: Any, part: str, tensors: Any, raw: Any) -> dict[str, Any]:
    if len(raw) not in {0, len(tensors)}:
        raise DataError(f"{len(raw)} raw contents for {len(tensors)} tensors")
    found = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "data": _raw(tensor.datatype, raw[i]) if raw else _typed(tensor.datatype, tensor.contents),
        }
        for i, tensor in enumerate(tensors)
    ]
    body: dict[str, Any] = {"id": message.id, part: found}
    return body


def _typed(datatype: str, contents: Any) -> list[Any]:
    """Return the values of typed contents: of the field for the datatype, or whichever other holds any."""
    first = _FIELDS.get(datatype, "bytes_contents")
    for name in (first, *_FIELD_NAMES):
        values = getattr(contents, name)
        if values:
            found: list[Any] = list(values)
            return [v.decode("utf-8", "replace") for v in found] if name == "bytes_contents" else found
    return []


def _raw(datatype: str, data: bytes) -> list[Any]:
    """Return the values of raw contents: numbers little end first; texts each after its length of four bytes."""
    if datatype != "BYTES":
        single = _SINGLE.get(datatype)
        if single is None or len(data) % single.size:
            raise DataError(f"raw contents of {datatype[:10]} cannot be read")
        if len(data) == single.size:
            return [*single.unpack(data)]
        found: list[Any] = np.frombuffer(data, dtype=_MANY[datatype]).tolist()
        return found
    texts: list[Any] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + length > len(data):
            raise DataError("raw contents of BYTES end too early")
        texts.append(data[at + 4 : at + 4 + length].decode("utf-8", "replace"))
        at += 4 + length
    return texts


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="mlhealth_v2.proto", package="inference", syntax="proto3")
    contents = file.message_type.add(name="InferTensorContents")
    for number, (name, kind) in enumerate(_CONTENTS, start=1):
        contents.field.add(name=name, number=number, type=kind, label=_Field.LABEL_REPEATED)
    for part in ("Request", "Response"):
        _message(file, part)
    return file


def _message(file: descriptor_pb2.FileDescriptorProto, part: str) -> None:
    """Add `ModelInfer<part>` and its tensor; parameters are left to the unknown fields."""
    is_request = part == "Request"
    tensor = file.message_type.add(name="InferInputTensor" if is_request else "InferOutputTensor")
    tensor.field.add(name="name", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    tensor.field.add(name="datatype", number=2, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    tensor.field.add(name="shape", number=3, type=_Field.TYPE_INT64, label=_Field.LABEL_REPEATED)
    tensor.field.add(
        name="contents", number=5, type=_Field.TYPE_MESSAGE, label=_Field.LABEL_OPTIONAL,
        type_name=".inference.InferTensorContents",
    )  # fmt: skip
    message = file.message_type.add(name=f"ModelInfer{part}")
    for number, name in enumerate(("model_name", "model_version", "id"), start=1):
        message.field.add(name=name, number=number, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    tensors, raw = ("inputs", "raw_input_contents") if is_request else ("outputs", "raw_output_contents")
    message.field.add(
        name=tensors, number=5, type=_Field.TYPE_MESSAGE, label=_Field.LABEL_REPEATED,
        type_name=f".inference.{tensor.name}",
    )  # fmt: skip
    message.field.add(
        name=raw, number=7 if is_request else 6, type=_Field.TYPE_BYTES, label=_Field.LABEL_REPEATED
    )
