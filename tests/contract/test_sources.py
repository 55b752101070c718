"""What every source promises, proved on the one in memory and on a real broker alike."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaProducer, TopicPartition

from mlhealth.clock import SystemClock, from_iso, to_iso
from mlhealth.config.sources import FilesConfig, KafkaConfig, TopicModel
from mlhealth.events.messages import Partition
from mlhealth.sources.base import (
    MODEL_HEADER,
    VERSION_HEADER,
    WATERMARK_HEADER,
    Address,
    Gap,
    Mark,
    Owner,
    Poll,
    Source,
)
from mlhealth.sources.files import FileSource
from mlhealth.sources.inbox import TOPIC, InboxSource, ReaderIdentity
from mlhealth.sources.kafka import KafkaSource
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store import schema
from mlhealth.store.database import Database
from mlhealth.store.inbox import Entry, Inbox, InboxLimits
from tests.servers.kafka_broker import KafkaCluster

HEADERS = [(MODEL_HEADER, b"loans"), (VERSION_HEADER, b"1")]
ADDRESS = Address("loans", "1")


@dataclass
class Reader(Owner):
    """An owner that starts where it is told and remembers what happened."""

    offsets: dict[Partition, int] = field(default_factory=dict)
    held: set[Partition] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)

    def assigned(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        self.held |= set(partitions)
        return {p: self.offsets[p] for p in partitions if p in self.offsets}

    def revoked(self, partitions: Collection[Partition]) -> None:
        self.held -= set(partitions)

    def lost(self, partitions: Collection[Partition]) -> None:
        self.held -= set(partitions)

    def gap(self, gap: Gap) -> None:
        self.gaps.append(gap)


class Rig:
    """A topic of two partitions that can be written, trimmed and read; a watermark may go to both by itself."""

    copies_of_marks = 1
    keeps_committed = True
    has_watermarks = True

    def __init__(self) -> None:
        self.topic = f"contract-{uuid4().hex[:8]}"
        self.group = f"group-{uuid4().hex[:8]}"
        self._open: list[Source] = []

    def partition(self, number: int) -> Partition:
        """Return the first or second partition."""
        return Partition(self.topic, number)

    def write(
        self, partition: int, values: Sequence[bytes], headers: Sequence[tuple[str, bytes]] = HEADERS
    ) -> None:
        raise NotImplementedError

    def trim(self, partition: int, first: int) -> None:
        raise NotImplementedError

    def _source(self) -> Source:
        raise NotImplementedError

    def source(self, owner: Owner) -> Source:
        """Return a started source that is closed with the rig."""
        source = self._source()
        self._open.append(source)
        source.start(owner)
        return source

    def close(self) -> None:
        for source in self._open:
            source.close()


class MemoryRig(Rig):
    """Over a log in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.log = MemoryLog(self.topic, 2)

    def write(
        self, partition: int, values: Sequence[bytes], headers: Sequence[tuple[str, bytes]] = HEADERS
    ) -> None:
        for value in values:
            self.log.append(partition, value, headers)

    def trim(self, partition: int, first: int) -> None:
        self.log.trim(partition, first)

    def _source(self) -> Source:
        return MemorySource(self.log)


class KafkaRig(Rig):
    """Over a real broker."""

    def __init__(self, cluster: KafkaCluster) -> None:
        super().__init__()
        self.cluster = cluster
        cluster.create_topic(self.topic, partitions=2)
        self._producer: Any = KafkaProducer(bootstrap_servers=cluster.bootstrap)

    def write(
        self, partition: int, values: Sequence[bytes], headers: Sequence[tuple[str, bytes]] = HEADERS
    ) -> None:
        for value in values:
            self._producer.send(self.topic, value=value, partition=partition, headers=list(headers))
        self._producer.flush(timeout=30)

    def trim(self, partition: int, first: int) -> None:
        admin = self.cluster.admin()
        admin.delete_records({TopicPartition(self.topic, partition): first})
        admin.close()

    def _source(self) -> Source:
        return KafkaSource(
            KafkaConfig(bootstrap=self.cluster.bootstrap, topics=(self.topic,), group=self.group)
        )

    def close(self) -> None:
        super().close()
        self._producer.close()


class ConfluentRig(KafkaRig):
    """Over a real broker, with the other client."""

    def _source(self) -> Source:
        from mlhealth.sources.confluent import ConfluentSource

        config = KafkaConfig(bootstrap=self.cluster.bootstrap, topics=(self.topic,), group=self.group)
        return ConfluentSource(config)


class InboxRig(Rig):
    """Over the inbox of a store."""

    copies_of_marks = 2
    keeps_committed = False  # a commit lets the inbox go

    def __init__(self, store: str) -> None:
        super().__init__()
        self.topic = TOPIC
        self.database = Database.open(store)
        schema.ensure(self.database)
        self.logs = [Inbox(self.database, InboxLimits(2)) for _ in range(2)]
        self.logs[0].prepare()

    def write(
        self, partition: int, values: Sequence[bytes], headers: Sequence[tuple[str, bytes]] = HEADERS
    ) -> None:
        named = {name: value.decode() for name, value in headers}
        mark = named.get(WATERMARK_HEADER)
        for value in values:
            entry = Entry(
                named.get(MODEL_HEADER, ""), named.get(VERSION_HEADER, ""), body=value, rows=1,
                watermark=None if mark is None else from_iso(mark),
            )  # fmt: skip
            inbox = Inbox(self.database, InboxLimits(2))
            if mark is None and partition == 1:
                next(inbox.turns)
            inbox.append([entry], SystemClock().now())

    def trim(self, partition: int, first: int) -> None:
        self.logs[0].trim({partition: first})

    def _source(self) -> Source:
        return InboxSource(self.logs[0], ReaderIdentity(uuid4().hex, SystemClock()))

    def close(self) -> None:
        super().close()
        self.database.close()


class FileRig(Rig):
    """Over two files of a folder, whose lines are the messages."""

    has_watermarks = False

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.headers: list[tuple[str, bytes]] = []
        for number in (0, 1):
            self._path(number).touch()

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number}.jsonl"

    def partition(self, number: int) -> Partition:
        return Partition(f"file:{self.folder}#part-{number}.jsonl", 0)

    def write(
        self, partition: int, values: Sequence[bytes], headers: Sequence[tuple[str, bytes]] = HEADERS
    ) -> None:
        self.headers = list(headers)
        with self._path(partition).open("ab") as file:
            file.writelines(value + b"\n" for value in values)

    def trim(self, partition: int, first: int) -> None:
        pytest.skip("a file keeps its rows")

    def _source(self) -> Source:
        model = TopicModel(model="loans", version="1") if self.headers or not self.has_messages() else None
        return FileSource(FilesConfig(folder=str(self.folder), model=model))

    def has_messages(self) -> bool:
        return any(self._path(number).stat().st_size for number in (0, 1))


def _rig(kind: str, request: pytest.FixtureRequest) -> Rig:
    if kind == "memory":
        return MemoryRig()
    if kind == "files":
        return FileRig(request.getfixturevalue("tmp_path"))
    if kind == "inbox":
        return InboxRig(f"sqlite:///{request.getfixturevalue('tmp_path') / 'store.db'}")
    if kind == "inbox on postgresql":
        return InboxRig(request.getfixturevalue("postgres"))
    return {"kafka": KafkaRig, "confluent": ConfluentRig}[kind](request.getfixturevalue("kafka"))


@pytest.fixture(params=["memory", "files", "inbox", "inbox on postgresql", "kafka", "confluent"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Each kind of source in turn."""
    made = _rig(request.param, request)
    yield made
    made.close()


def read(source: Source, messages: int, *, timeout: float = 30.0) -> list[Poll]:
    """Poll until so many messages or watermarks have come."""
    polls: list[Poll] = []
    end = time.monotonic() + timeout
    while _count(polls) < messages and time.monotonic() < end:
        polls.append(source.poll(0.2))
    assert _count(polls) == messages
    return polls


def _count(polls: Sequence[Poll]) -> int:
    rows = sum(value.count(b"\n") + 1 for poll in polls for _, m in poll.batches for value in m.values)
    return rows + sum(len(poll.marks) for poll in polls)


def told(polls: Sequence[Poll]) -> dict[Partition, list[tuple[int, bytes]]]:
    """Return offset and value of each message (or row of a file), by partition, in the order in which they came."""
    found: dict[Partition, list[tuple[int, bytes]]] = {}
    for poll in polls:
        for _, messages in poll.batches:
            for i, value in enumerate(messages.values):
                partition = messages.partitions[messages.index[i]]
                first = int(messages.offsets[i])
                rows = enumerate(bytes(value).split(b"\n"), start=first)
                found.setdefault(partition, []).extend(rows)
    return found


def test_every_message_comes_once_in_order_with_its_address(rig: Rig) -> None:
    """Each partition's messages come in order, with their offsets and the model version of their headers."""
    rig.write(0, [b"a", b"b", b"c"])
    rig.write(1, [b"d"])
    source = rig.source(Reader())
    polls = read(source, 4)
    assert told(polls) == {
        rig.partition(0): [(0, b"a"), (1, b"b"), (2, b"c")],
        rig.partition(1): [(0, b"d")],
    }
    assert {address for poll in polls for address, _ in poll.batches} == {ADDRESS}
    assert source.positions() == {rig.partition(0): 3, rig.partition(1): 1}


def test_reading_starts_where_the_owner_says(rig: Rig) -> None:
    """The store's offset counts, whatever was committed to the broker."""
    rig.write(0, [b"a", b"b", b"c"])
    rig.write(1, [b"d"])
    first = rig.source(Reader())
    read(first, 4)
    if rig.keeps_committed:
        first.commit({rig.partition(0): 3, rig.partition(1): 1})
    first.close()
    reader = Reader({rig.partition(0): 1, rig.partition(1): 0})
    assert told(read(rig.source(reader), 3)) == {
        rig.partition(0): [(1, b"b"), (2, b"c")],
        rig.partition(1): [(0, b"d")],
    }
    assert reader.gaps == []


def test_messages_that_are_gone_are_a_gap(rig: Rig) -> None:
    """Where the log begins after the wanted offset, reading goes on from its first message, and the owner is told."""
    rig.write(0, [b"a", b"b", b"c"])
    rig.trim(0, 2)
    reader = Reader({rig.partition(0): 1})
    assert told(read(rig.source(reader), 1)) == {rig.partition(0): [(2, b"c")]}
    assert reader.gaps == [Gap(rig.partition(0), 1, 2)]


def test_ends_are_those_of_now(rig: Rig) -> None:
    """The end of a partition is asked for afresh, whether or not anything was read."""
    source = rig.source(Reader())
    partitions = [rig.partition(0), rig.partition(1)]
    assert source.ends(partitions) == dict.fromkeys(partitions, 0)
    rig.write(1, [b"a", b"b"])
    assert source.ends(partitions) == {partitions[0]: 0, partitions[1]: 2}
    assert set(source.partitions()) == set(partitions)


def test_a_paused_source_gives_nothing_and_keeps_its_partitions(rig: Rig) -> None:
    """Paused, polls are empty and no partition goes; resumed, nothing is missing."""
    rig.write(0, [b"a"])
    reader = Reader()
    source = rig.source(reader)
    read(source, 1)
    reader.offsets[rig.partition(0)] = 1  # what a checkpoint holds, should the group share out again
    source.pause()
    rig.write(0, [b"b"])
    assert not any(source.poll(0.2) for _ in range(5))
    assert len(reader.held) == 2
    source.resume()
    assert told(read(source, 1)) == {rig.partition(0): [(1, b"b")]}


def test_reloading_asks_the_owner_again(rig: Rig) -> None:
    """A partition that is reloaded is read again from where the owner then says."""
    rig.write(0, [b"a", b"b"])
    reader = Reader()
    source = rig.source(reader)
    read(source, 2)
    reader.offsets[rig.partition(0)] = 1
    source.reload([rig.partition(0)])
    assert told(read(source, 1)) == {rig.partition(0): [(1, b"b")]}


def test_a_watermark_message_is_a_promise_not_an_event(rig: Rig) -> None:
    """A message with the watermark header is told as a mark of its model version and partition."""
    if not rig.has_watermarks:
        pytest.skip("its messages are rows, which promise nothing")
    moment = 1_767_225_600_000_000
    rig.write(1, [b""], [*HEADERS, (WATERMARK_HEADER, to_iso(moment).encode())])
    source = rig.source(Reader())
    polls = read(source, rig.copies_of_marks)
    marks = [mark for poll in polls for mark in poll.marks]
    assert Mark(ADDRESS, rig.partition(1), moment) in marks
    assert {(mark.address, mark.event_time) for mark in marks} == {(ADDRESS, moment)}


def test_a_message_without_headers_names_nobody(rig: Rig) -> None:
    """Without headers or topic configuration the address is empty, and the body may tell."""
    rig.write(0, [b"a"], [])
    polls = read(rig.source(Reader()), 1)
    assert {address for poll in polls for address, _ in poll.batches} == {Address("", "")}
