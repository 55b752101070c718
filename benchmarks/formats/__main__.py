"""`python -m benchmarks.formats`: CPU time of decoding each format, as a multiple of its library's bare parse.

The bare parse turns the same messages into Python objects or Arrow columns and does nothing with them (see `bare`);
ratios are medians of rounds in which both are measured. `--fuzz N` sends
N damaged messages to each format and reports exceptions and the slowest message.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks.formats.bare import bare
from benchmarks.results import markdown_table, write_results
from mlhealth.config.payload import PairingConfig, PayloadConfig
from mlhealth.events.formats.base import Reading, format_of
from mlhealth.events.messages import Messages, Partition
from mlhealth.events.pairing import Pairing
from tests.format_writers import LOANS, WRITERS, Registry, decoded
from tests.strategies import SCHEMA

EVENTS = 10_000
ROUNDS = 5
START = 1_767_225_600_000_000


def events(n: int) -> list[dict[str, Any]]:
    """Return made-up events."""
    rng = np.random.default_rng(0)
    return [
        {
            "ts": START + i * 1_000,
            "event_id": f"e{i}",
            "income": float(rng.normal()),
            "region": ("eu", "us", "asia")[i % 3],
            "owner": i % 2,
            "y_pred": i % 2,
            "y_score": float(rng.random()),
        }
        for i in range(n)
    ]


def messages_of(values: Sequence[bytes]) -> Messages:
    """Return values as messages of one partition."""
    n = len(values)
    stamps = np.full(n, START, dtype=np.int64)
    return Messages(values, np.arange(n), stamps, (Partition("t", 0),), np.zeros(n, dtype=np.int32))


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measured(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, str | float | int | None]:
    """Return one format's line."""
    payload = PayloadConfig(answers=("y_pred", "y_score")) if name == "sagemaker" else PayloadConfig()
    reading = Reading(SCHEMA, payload, Registry())
    found = messages_of(WRITERS[name](rows, LOANS))
    if format_of(name).is_paired:
        found = Pairing().add("loans", "1", name, found).messages(found)
    kind = format_of(name)
    assert kind.decode(found, reading).batch.rows == len(rows)
    parse = bare(name, found.values)
    rounds = [(cpu(lambda: kind.decode(found, reading)), cpu(parse)) for _ in range(ROUNDS)]
    ours, theirs = (median(side) for side in zip(*rounds, strict=True))
    return {
        "format": name,
        "events per CPU-second": round(len(rows) / ours),
        "bare parse": round(len(rows) / theirs),
        "times the bare parse": round(median(own / bare_one for own, bare_one in rounds), 2),
    }


def fuzzed(name: str, rows: Sequence[dict[str, Any]], count: int) -> dict[str, str | float | int | None]:
    """Send damaged messages; an exception ends the benchmark."""
    good = WRITERS[name](rows[:4], LOANS)
    rng = random.Random(1)
    slowest, sent = 0.0, 0
    while sent < count:
        values = [_damaged(rng.choice(good), rng) for _ in range(100)]
        begin = time.process_time()
        decoded(name, messages_of(values))
        slowest = max(slowest, time.process_time() - begin)
        sent += len(values)
    return {
        "format": name,
        "damaged messages": sent,
        "exceptions": 0,
        "slowest hundred, ms": round(slowest * 1e3, 1),
    }


def _damaged(value: bytes, rng: random.Random) -> bytes:
    body = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body)) if body else 0
        if rng.random() < 0.6 and body:
            body[at] = rng.randrange(256)
        else:
            body[at : at + rng.randint(0, 3)] = bytes(rng.randrange(256) for _ in range(rng.randint(0, 4)))
    return bytes(body)


def paired(pairs: int) -> dict[str, str | float | int | None]:
    """Pair requests with responses that come up to 60 s later, 10,000 a second, out of order."""
    rng = np.random.default_rng(0)
    at = np.concatenate([np.arange(pairs) / 10_000, np.arange(pairs) / 10_000 + rng.uniform(0, 60, pairs)])
    order = np.argsort(at, kind="stable")
    pairing = Pairing(PairingConfig.model_validate({"window": "90s", "max_halves": 1_000_000}))
    found, most, begin = 0, 0, time.process_time()
    for first in range(0, len(order), 10_000):
        chunk = order[first : first + 10_000]
        values = [
            b'CE1 ["%d","%s","","",""]\n{}' % (i % pairs, b"request" if i < pairs else b"response")
            for i in chunk.tolist()
        ]
        stamps = (at[chunk] * 1e6).astype(np.int64)
        batch = Messages(
            values,
            np.arange(first, first + len(chunk)),
            stamps,
            (Partition("t", 0),),
            np.zeros(len(chunk), np.int32),
        )
        found += len(pairing.add("m", "1", "kserve", batch).values)
        most = max(most, len(pairing))
        pairing.saved()
    return {
        "pairs": pairs,
        "paired": found,
        "most waiting": most,
        "pairs per CPU-second": round(pairs / (time.process_time() - begin)),
    }


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuzz", type=int, default=2_000, help="damaged messages per format")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    chosen = parser.parse_args()
    rows = events(EVENTS)
    lines = [measured(name, rows) for name in WRITERS]
    damage = [fuzzed(name, rows, chosen.fuzz) for name in WRITERS]
    pairs = paired(chosen.pairs)
    for table in (lines, damage, [pairs]):
        print(markdown_table(table), end="\n\n")
    figures = {f"{line['format']} times bare": line["times the bare parse"] for line in lines}
    figures |= {f"{line['format']} fuzz": line["damaged messages"] for line in damage}
    figures |= {f"pairing {name}": value for name, value in pairs.items()}
    write_results("formats", figures, lines)


if __name__ == "__main__":
    main()
