"""Requests and responses find each other in any order, across restarts, in bounded memory; every loss is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.clock import SECOND
from mlhealth.config.payload import PairingConfig
from mlhealth.errors import ConfigError
from mlhealth.events.envelope import unpacked_pair
from mlhealth.events.messages import Messages, Partition
from mlhealth.events.pairing import Paired, Pairing
from mlhealth.sources.base import Address
from mlhealth.sources.halves import check_alike
from mlhealth.store import halves, schema
from mlhealth.store.database import Database

INPUTS, OUTPUTS = Partition("in", 0), Partition("out", 0)


def half(identity: str, kind: str) -> bytes:
    """Return a half of an inference."""
    event = {"specversion": "1.0", "id": identity, "type": f"x.{kind}", "data": {"id": identity, "is": kind}}
    return json.dumps(event).encode()


def messages(values: list[bytes], partition: Partition, *, first: int = 0, at: int = 0) -> Messages:
    """Return values as messages written at `at` seconds."""
    n = len(values)
    stamps = np.full(n, at * SECOND, dtype=np.int64)
    offsets = np.arange(first, first + n, dtype=np.int64)
    return Messages(values, offsets, stamps, (partition,), np.zeros(n, dtype=np.int32))


def ids(found: Paired) -> list[str]:
    """Return the ids of the pairs, each checked to be of one inference."""
    pairs = [unpacked_pair(value) for value in found.values]
    assert all((p.request.kind, p.response.kind) == ("request", "response") for p in pairs)
    assert all(p.request.id == p.response.id for p in pairs)
    return [p.request.id for p in pairs]


@given(st.permutations([(i, kind) for i in range(6) for kind in ("request", "response")]), st.integers(1, 5))
def test_halves_pair_in_any_order(order: list[tuple[int, str]], size: int) -> None:
    """Whatever the order and the batches, each inference comes out once and nothing waits on."""
    pairing, found = Pairing(), list[str]()
    for first in range(0, len(order), size):
        values = [half(str(i), kind) for i, kind in order[first : first + size]]
        found += ids(pairing.add("m", "1", "kserve", messages(values, INPUTS, first=first)))
    assert sorted(found) == [str(i) for i in range(6)]
    assert len(pairing) == pairing.bytes == 0


def test_a_half_is_given_up_when_all_logs_have_gone_on() -> None:
    """Requests wait as long as the responses' log is behind, and no longer than the window after that."""
    pairing = Pairing(PairingConfig.model_validate({"window": "60s"}))
    pairing.add("m", "1", "kserve", messages([half("lost", "request"), half("a", "request")], INPUTS, at=0))
    pairing.add("m", "1", "kserve", messages([half("z", "response")], OUTPUTS, at=0))
    ahead = pairing.add("m", "1", "kserve", messages([half("b", "request")], INPUTS, first=2, at=300))
    assert ahead.lost == []
    assert ids(
        pairing.add("m", "1", "kserve", messages([half("a", "response")], OUTPUTS, first=1, at=50))
    ) == ["a"]
    late = pairing.add("m", "1", "kserve", messages([half("b", "response")], OUTPUTS, first=2, at=301))
    assert ids(late) == ["b"]
    assert [w.key[2] for w in late.lost] == ["lost", "z"]
    assert len(pairing) == 0


def test_a_log_that_is_read_ahead_costs_nothing() -> None:
    """Hours of responses that are read before the first request wait for their requests, whatever the window."""
    pairing, found = Pairing(), list[str]()
    for first, kind in ((0, "response"), (100, "request")):
        for i in range(100):
            batch = messages([half(str(i), kind)], OUTPUTS if first == 0 else INPUTS, first=i, at=i * 3600)
            step = pairing.add("m", "1", "kserve", batch)
            assert step.lost == []
            found += ids(step)
    assert len(found) == 100


def test_memory_is_bounded_in_number_and_bytes() -> None:
    """Of more halves than may wait the oldest are given up, and told."""
    pairing = Pairing(PairingConfig(max_halves=10))
    found = pairing.add("m", "1", "kserve", messages([half(str(i), "request") for i in range(25)], INPUTS))
    assert [w.key[2] for w in found.lost] == [str(i) for i in range(15)]
    assert len(pairing) == 10
    small = Pairing(PairingConfig(max_bytes=1024))
    lost = small.add("m", "1", "kserve", messages([half(str(i), "request") for i in range(100)], INPUTS)).lost
    assert 512 < small.bytes <= 1024
    assert len(lost) + len(small) == 100


def test_waiting_halves_survive_a_restart(tmp_path: object) -> None:
    """What a checkpoint holds is paired by whoever reads on; what was paired since is gone from it."""
    database = Database.open(f"sqlite:///{tmp_path}/store.db")
    schema.ensure(database)
    first = Pairing()
    first.add("m", "1", "kserve", messages([half(str(i), "request") for i in range(4)], INPUTS))
    with database.begin() as connection:
        halves.write(connection, first.changes())
    first.saved()
    first.add("m", "1", "kserve", messages([half("0", "response")], OUTPUTS))
    with database.begin() as connection:
        halves.write(connection, first.changes())
    second = Pairing()
    with database.read() as connection:
        second.restore(halves.read(connection, [INPUTS, OUTPUTS]))
    answers = messages([half(str(i), "response") for i in range(4)], OUTPUTS, first=1)
    assert ids(second.add("m", "1", "kserve", answers)) == ["1", "2", "3"]


def test_a_lost_partition_takes_its_halves_along() -> None:
    """Halves of a partition that someone else has now are not paired here, nor written."""
    pairing = Pairing()
    pairing.add("m", "1", "kserve", messages([half("a", "request")], INPUTS))
    pairing.forget([INPUTS])
    assert pairing.changes().added == ()
    assert ids(pairing.add("m", "1", "kserve", messages([half("a", "response")], OUTPUTS))) == []


def test_topics_of_one_model_must_be_partitioned_alike() -> None:
    """Different numbers of partitions could put the halves of an inference at two workers: refused at the start."""
    topics = {"in": Address("m", "1", "kserve"), "out": Address("m", "1", "kserve"), "x": Address("x", "1")}
    check_alike(topics, {"in": 3, "out": 3, "x": 1})
    with pytest.raises(ConfigError, match="partitioned alike"):
        check_alike(topics, {"in": 3, "out": 4, "x": 1})
