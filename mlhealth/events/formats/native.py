"""The native formats: JSON objects, one or several per message, and Arrow IPC streams."""

from __future__ import annotations

from mlhealth.events import arrow, json
from mlhealth.events.formats.base import Format, Reading
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages


class JsonFormat(Format):
    """One JSON object or several, newline-separated, whose keys are the schema's columns."""

    name = "json"

    def decode(self, messages: Messages, reading: Reading) -> Decoded:
        return json.decode(messages, reading.schema)


class ArrowFormat(Format):
    """An Arrow IPC stream, whose columns are the schema's."""

    name = "arrow"

    def decode(self, messages: Messages, reading: Reading) -> Decoded:
        return arrow.decode(messages, reading.schema)
