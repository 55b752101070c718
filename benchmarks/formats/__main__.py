"""`make bench-formats`: CPU time of decoding each format, as a multiple of its library's bare parse (see `bare`).

Ratios are medians of rounds in which both are measured: ours with Python's garbage collector as a service has it, the
bare parse without it. How much damage the formats bear is `make bench-fuzz`.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from benchmarks.formats.bare import bare
from benchmarks.formats.rows import START, Workload, narrow, wide
from benchmarks.results import markdown_table, write_results
from mlhealth.config.payload import PairingConfig, PayloadConfig
from mlhealth.events.formats.base import Reading, format_of
from mlhealth.events.messages import Messages, Partition
from mlhealth.events.pairing import Pairing
from mlhealth.garbage import collect_rarely
from tests.format_writers import WRITERS, Registry

EVENTS = 10_000
ROUNDS = 5
Line = dict[str, str | float | int | None]


def messages_of(values: Sequence[bytes]) -> Messages:
    """Return values as messages of one partition."""
    n = len(values)
    stamps = np.full(n, START, dtype=np.int64)
    return Messages(values, np.arange(n), stamps, (Partition("t", 0),), np.zeros(n, dtype=np.int32))


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work, what it made still held."""
    begin = time.process_time()
    made = work()
    spent = time.process_time() - begin
    del made
    return spent


def uncollected(parse: Callable[[], object]) -> float:
    """Return the CPU seconds of a bare parse without the garbage collector, which would count for our sake."""
    gc.disable()
    try:
        return cpu(parse)
    finally:
        gc.enable()


def measured(name: str, work: Workload) -> Line:
    """Return one format's line."""
    payload = PayloadConfig(answers=("y_pred", "y_score")) if name == "sagemaker" else PayloadConfig()
    reading = Reading(work.schema, payload, Registry(work.shape))
    found = messages_of(WRITERS[name](work.events, work.shape))
    if format_of(name).is_paired:
        found = Pairing().add("loans", "1", name, found).messages(found)
    kind, rows = format_of(name), len(work.events)
    assert kind.decode(found, reading).batch.rows == rows
    parse = bare(name, found.values, work.shape)
    rounds = [(cpu(lambda: kind.decode(found, reading)), uncollected(parse)) for _ in range(ROUNDS)]
    ours, theirs = (median(side) for side in zip(*rounds, strict=True))
    return {
        "format": name,
        "features": len(work.schema.features),
        "events per CPU-second": round(rows / ours),
        "bare parse": round(rows / theirs),
        "times the bare parse": round(median(own / bare_one for own, bare_one in rounds), 2),
    }


def paired(pairs: int) -> Line:
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
    parser.add_argument(
        "--format", action="append", choices=sorted(WRITERS), help="this one only; may be repeated"
    )
    parser.add_argument("--pairs", type=int, default=1_000_000)
    chosen = parser.parse_args()
    works = (wide(EVENTS), narrow(EVENTS))
    collect_rarely()
    lines = [measured(name, work) for work in works for name in chosen.format or WRITERS]
    print(markdown_table(lines), end="\n\n")
    if chosen.format:
        return
    pairs = paired(chosen.pairs)
    print(markdown_table([pairs]))
    figures = {
        f"{line['format']} {line['features']} features": line["times the bare parse"] for line in lines
    }
    figures |= {f"pairing {name}": value for name, value in pairs.items()}
    write_results("formats", figures, lines)


if __name__ == "__main__":
    main()
