"""Request bodies of labels → messages as the worker reads them, with the rows that cannot be used."""

from __future__ import annotations

import numpy as np

from mlhealth.errors import DataError
from mlhealth.events.bodies import CONTENT_TYPES, Body, UnknownContentType
from mlhealth.events.labels import LABEL_FORMAT, DecodedLabels, decode_labels
from mlhealth.events.messages import Messages, Partition
from mlhealth.schema.model_schema import ModelSchema

_REQUEST = Partition("request", 0)


def read_label_body(content: bytes, content_type: str, schema: ModelSchema) -> Body:
    """Return a body of labels as a message, checked against the schema.

    `content_type`: one of `CONTENT_TYPES`, parameters allowed. Raises UnknownContentType, and DataError where nothing
    of the body can be read.
    """
    check_content_type(content_type)
    found = checked(content, schema, 0)
    return Body(content, LABEL_FORMAT, found.rows + len(found.rejections), found.rejections)


def check_content_type(content_type: str) -> None:
    """Raise UnknownContentType for a body that is not read here."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in CONTENT_TYPES:
        raise UnknownContentType(
            f"content type {kind or 'missing'} is not read here; send {', '.join(CONTENT_TYPES)}"
        )


def checked(content: bytes, schema: ModelSchema, now: int) -> DecodedLabels:
    """Return the labels of a body, as of `now` where one does not say; raises DataError where it cannot be read."""
    zero = np.zeros(1, dtype=np.int64)
    message = Messages([content], zero, zero + now, (_REQUEST,), zero.astype(np.int32))
    found = decode_labels(message, schema)
    if found.rows == 0 and len(found.rejections) == 1 and found.rejections[0].reason in _NOTHING:
        raise DataError(f"the body cannot be read: {found.rejections[0].reason}")
    return found


_NOTHING = ("the message is empty", "not valid JSON", "not an Arrow IPC stream")
"""Faults of a body as a whole."""
