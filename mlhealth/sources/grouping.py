"""Polled records of any client → `Messages` by address; records with equal headers are taken together, by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mlhealth.clock import from_iso
from mlhealth.config.sources import KafkaConfig
from mlhealth.errors import ConfigError
from mlhealth.events.labels import LABEL_FORMAT
from mlhealth.events.messages import Messages, Partition
from mlhealth.sources.base import (
    FORMAT_HEADER,
    MODEL_HEADER,
    VERSION_HEADER,
    WATERMARK_HEADER,
    Address,
    Mark,
)
from mlhealth.sources.halves import CLOUD_EVENTS, Record, half_of, is_half, parted, topic_address

Headers = Sequence[tuple[str, bytes | None]]
NOWHERE = Address("", "")
EVENTS = NOWHERE.format
"""The format of messages that do not say theirs."""


def topic_addresses(config: KafkaConfig) -> dict[str, Address]:
    """Return what each configured topic carries, for messages whose headers do not say."""
    return {
        topic: Address(
            held.model,
            held.version,
            LABEL_FORMAT if held.holds == "labels" else held.format or config.format,
            held.sampling_fraction,
        )
        for topic, held in config.models.items()
    }


@dataclass(frozen=True)
class Columns:
    """One or more records of one partition, in order: `written` in milliseconds; `key` gives the key of the i-th."""

    offsets: list[int]
    written: list[int]
    headers: list[Any]
    values: list[bytes | None]
    key: Callable[[int], bytes | None]


@dataclass
class _Group:
    values: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    index: list[int] = field(default_factory=list)

    def extend(self, number: int, columns: Columns, rows: Sequence[int]) -> None:
        """Add the records at positions `rows`."""
        is_all = len(rows) == len(columns.values)
        values = columns.values if is_all else [columns.values[i] for i in rows]
        self.values += [value or b"" for value in values]
        self.offsets += columns.offsets if is_all else [columns.offsets[i] for i in rows]
        self.timestamps += columns.written if is_all else [columns.written[i] for i in rows]
        self.index += [number] * len(rows)


@dataclass
class Grouping:
    """Collects the records of one poll; `topics` says whose events a topic carries where headers do not.

    `format`: of messages in other topics.
    """

    topics: Mapping[str, Address]
    format: str = EVENTS
    partitions: list[Partition] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    _groups: dict[Address, _Group] = field(default_factory=dict)
    _known: dict[tuple[tuple[str, bytes | None], ...], tuple[Address, int | None]] = field(
        default_factory=dict
    )

    def open(self, partition: Partition) -> int:
        """Return the number by which records of `partition` are added."""
        self.partitions.append(partition)
        return len(self.partitions) - 1

    def address(self, number: int, headers: Headers) -> Address | None:
        """Return whose events a message with these headers holds, or None for a watermark, which is noted."""
        found, mark = self._said(number, headers)
        if mark is not None:
            self.marks.append(Mark(found, self.partitions[number], mark))
            return None
        return found

    def _said(self, number: int, headers: Headers) -> tuple[Address, int | None]:
        """Return whose events a message holds, and the watermark that it is instead."""
        topic = self.partitions[number].topic
        given = self.topics.get(topic)
        if given is None:
            given = topic_address(topic, self.format)
        if not headers:
            return given, None
        key = tuple(headers)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _read(headers)
        found, mark = known
        if not found.model:
            found = replace(given, format=found.format)
        if given.format != found.format == EVENTS:
            found = replace(found, format=given.format)
        if given.fraction != found.fraction:
            found = replace(found, fraction=given.fraction)
        return found, mark

    def extend(self, number: int, columns: Columns) -> None:
        """Add records of the partition `number`."""
        for address, rows in self._sorted_out(number, columns.headers).items():
            if address is not None:
                self._groups.setdefault(address, _Group()).extend(number, columns, rows)
                continue
            for i in rows:
                self.add(
                    number,
                    columns.offsets[i],
                    columns.written[i],
                    columns.headers[i] or (),
                    columns.values[i],
                    key=columns.key(i),
                )

    def _sorted_out(self, number: int, headers: list[Any]) -> dict[Address | None, Sequence[int]]:
        """Return the positions of records by address, ascending; None: of those to look at one by one."""
        if headers.count(headers[0]) == len(headers):
            return {self._plain(number, headers[0] or ()): range(len(headers))}
        known: dict[Headers, Address | None] = {}
        places: dict[Address | None, list[int]] = {}
        for i, given in enumerate(headers):
            key = tuple(given or ())
            if key not in known:
                known[key] = self._plain(number, key)
            places.setdefault(known[key], []).append(i)
        return dict(places)

    def _plain(self, number: int, headers: Headers) -> Address | None:
        """Return whose events messages with these headers hold; None for watermarks and halves of an inference."""
        if parted(headers)[1]:
            return None
        found, mark = self._said(number, headers)
        return found if mark is None and not is_half(found) else None

    def add(
        self,
        number: int,
        offset: int,
        written: int,
        headers: Headers,
        value: bytes | None,
        *,
        key: bytes | None = None,
    ) -> None:
        """Add one record of the partition `number`; `written` in milliseconds."""
        attributes: Mapping[str, str] = {}
        if headers and tuple(headers) not in self._known:
            headers, attributes = parted(headers)
        address = self.address(number, headers)
        if attributes and address is not None and not is_half(address):
            address = replace(address, format=CLOUD_EVENTS)
        if address is not None and is_half(address):
            value = half_of(
                Record(self.partitions[number].topic, written, attributes, key, value or b""), address
            )
        if address is not None:
            self.put(address, number, offset, written, value)

    def put(self, address: Address, number: int, offset: int, written: int, value: bytes | None) -> None:
        """Add one message of the partition `number` whose address is known; `written` in milliseconds."""
        group = self._groups.get(address)
        if group is None:
            group = self._groups[address] = _Group()
        group.values.append(value or b"")
        group.offsets.append(offset)
        group.timestamps.append(written)
        group.index.append(number)

    def batches(self) -> list[tuple[Address, Messages]]:
        """Return everything that was added."""
        partitions = tuple(self.partitions)
        return [
            (
                address,
                Messages(
                    group.values,
                    np.array(group.offsets, dtype=np.int64),
                    np.array(group.timestamps, dtype=np.int64) * 1_000,
                    partitions,
                    np.array(group.index, dtype=np.int32),
                ),
            )
            for address, group in self._groups.items()
        ]


def _read(headers: Headers) -> tuple[Address, int | None]:
    texts = {
        name: (value or b"").decode("utf-8", "replace")
        for name, value in headers
        if name.startswith("mlhealth-")
    }
    address = Address(
        texts.get(MODEL_HEADER, ""), texts.get(VERSION_HEADER, ""), texts.get(FORMAT_HEADER, EVENTS)
    )
    mark = texts.get(WATERMARK_HEADER)
    if mark is None:
        return address, None
    try:
        return address, from_iso(mark)
    except ConfigError:
        return address, None
