"""Damaged messages for every format, from a corpus that grows by what was new: the loop behind tests and `bench-fuzz`.

An input is a good message with bytes changed, cut, doubled or spliced with another's, or with a JSON value replaced by
an odd one; one in sixteen is random bytes. An input whose rejections were not seen before joins the corpus. Inputs are
decoded many at a time, as the worker does, and in every other batch among good messages or values only are odd: what
reads many alike messages at once must meet them too. Where a batch raises or is slow, each is decoded by itself to find
which.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlhealth.events.formats.base import formats
from mlhealth.events.messages import Messages, Partition
from tests.format_writers import LOANS, WRITERS, decoded

START = 1_767_225_600_000_000
AT_ONCE = 128
LONGEST = 20_000
CORPUS = 2_000
_HARMS = (1.0, 1.0, 0.3, 0.02)
SLOW_SECONDS = 0.25
"""More for one message, of at most `LONGEST` bytes, is a slow case."""
_TOKENS = (
    b"[", b"{", b"}", b"]", b"null", b"true", b"1e999", b"-1", b'"', b"\xff", b"\0", b"\n", b",", b":", b"NaN",
    b"\\u0000", b"9" * 400, b"[" * 500, b'{"a":' * 200, b"\x80" * 12, b"CE1 ", b"CE2 9999\n", b"\xff" * 7 + b"\x7f",
)  # fmt: skip
_ODD = (
    b"null", b"true", b"[]", b"{}", b'""', b"-0.0", b"1e308", b"1e-400", b"18446744073709551616", b'"\\ud800"',
    b"[[[]]]", b'{"":{}}', b'"2026-13-45T99:99:99Z"', b'"' + b"x" * 3_000 + b'"', b"[1,2,3]", b'[null,"a",{}]',
    b"-9223372036854775809",
)  # fmt: skip
LONGEST_REASON = 300
"""Reasons are kept and shown: no sender may fill them."""
_NUMBER = re.compile(r"\d+")
_VALUE = re.compile(rb'(?<=:)\s*(?:"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)')


def events(n: int, seed: int) -> list[dict[str, Any]]:
    """Return made-up events."""
    rng = random.Random(seed)
    return [
        {
            "ts": START + i * 1_000_000,
            "event_id": f"e{seed}-{i}",
            "income": rng.gauss(0.0, 10.0),
            "region": rng.choice(("eu", "us", "asia, south", "münchen", "")),
            "owner": rng.randint(0, 1),
            "y_pred": rng.randint(0, 1),
            "y_score": rng.random(),
        }
        for i in range(n)
    ]


def messages_of(values: Sequence[bytes]) -> Messages:
    """Return values as messages of one partition."""
    n = len(values)
    stamps = np.full(n, START, dtype=np.int64)
    return Messages(list(values), np.arange(n), stamps, (Partition("t", 0),), np.zeros(n, dtype=np.int32))


def damaged(value: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return a message with one to six damages."""
    body = bytearray(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at, choice = rng.randrange(len(body) + 1), rng.random()
        if choice < 0.3 and body:
            body[min(at, len(body) - 1)] = rng.randrange(256)
        elif choice < 0.4:
            del body[at : at + rng.randint(1, 40)]
        elif choice < 0.45:
            del body[at:]
        elif choice < 0.55:
            body[at:at] = body[at : at + rng.randint(1, 60)]
        elif choice < 0.65:
            body[at:] = other[rng.randrange(len(other) + 1) :]
        elif choice < 0.8:
            body[at:at] = rng.choice(_TOKENS)
        else:
            body = bytearray(_replaced(bytes(body), rng))
    return bytes(body[:LONGEST])


def _replaced(body: bytes, rng: random.Random) -> bytes:
    """Return JSON with one of its values replaced."""
    found = list(_VALUE.finditer(body, rng.randrange(len(body) + 1)))[:8]
    if not found:
        return body
    value = rng.choice(found)
    return body[: value.start()] + rng.choice(_ODD) + body[value.end() :]


@dataclass
class Found:
    """What fuzzing a format came to. `crashes`: exceptions with their inputs; `slowest`: seconds for one message."""

    name: str
    inputs: int = 0
    crashes: list[tuple[str, bytes]] = field(default_factory=list)
    slowest: float = 0.0
    slow: list[tuple[float, bytes]] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    rows: int = 0


class Fuzzer:
    """Fuzzes one format; the same seed gives the same inputs."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self._rng = random.Random(f"{name}{seed}")
        self._good = [value for part in range(4) for value in WRITERS[name](events(4, part), LOANS)]
        self._corpus = list(self._good)
        self._is_paired = formats()[name].is_paired
        self.found = Found(name)

    def run(self, inputs: int, until: Callable[[], bool] = lambda: False) -> Found:
        """Send so many inputs more, or as many as there is time for; return what all came to so far."""
        end = self.found.inputs + inputs
        while self.found.inputs < end and not until():
            self._batch(self.inputs(min(AT_ONCE, end - self.found.inputs), self._rng.choice(_HARMS)))
        return self.found

    def inputs(self, count: int, harm: float) -> list[bytes]:
        """Return messages, so large a share of which is damaged; of the others only values are odd, or nothing is."""
        return [self._input() if self._rng.random() < harm else self._odd() for _ in range(count)]

    def _odd(self) -> bytes:
        value = self._rng.choice(self._good)
        return _replaced(value, self._rng) if self._rng.random() < 1 / 4 else value

    def _input(self) -> bytes:
        if self._rng.random() < 1 / 16:
            return self._rng.randbytes(self._rng.randint(0, 300))
        return damaged(self._rng.choice(self._corpus), self._rng.choice(self._corpus), self._rng)

    def _batch(self, values: list[bytes]) -> None:
        begin = time.process_time()
        try:
            found = decoded(self.found.name, messages_of(values))
        except Exception:  # noqa: BLE001 - whatever it is, it is what fuzzing looks for
            self._alone(values)
        else:
            self._note(values, found)
            seconds = time.process_time() - begin
            self.found.slowest = max(self.found.slowest, seconds / len(values))
            if seconds > SLOW_SECONDS:
                self._alone(values)
        self.found.inputs += len(values)

    def _note(self, values: list[bytes], found: Any) -> None:
        assert len(found.message) == found.batch.rows
        places = set(found.message.tolist()) | {rejection.offset for rejection in found.rejections}
        assert places <= set(range(len(values)))
        self.found.rows += found.batch.rows
        for rejection in found.rejections:
            assert len(rejection.reason) <= LONGEST_REASON, rejection.reason
            reason = _NUMBER.sub("N", rejection.reason)
            if reason not in self.found.reasons:
                self.found.reasons.add(reason)
                if not self._is_paired and len(self._corpus) < CORPUS:
                    self._corpus.append(values[rejection.offset])

    def _alone(self, values: list[bytes]) -> None:
        """Decode each message by itself (halves all together again): which one raises, which one is slow."""
        for group in [values] if self._is_paired else [[value] for value in values]:
            begin = time.process_time()
            try:
                decoded(self.found.name, messages_of(group))
            except Exception as error:  # noqa: BLE001 - the same
                self.found.crashes.append((f"{type(error).__name__}: {error}"[:300], b"\n".join(group)))
            seconds = (time.process_time() - begin) / len(group)
            self.found.slowest = max(self.found.slowest, seconds)
            if seconds > SLOW_SECONDS:
                self.found.slow.append((seconds, b"\n".join(group)))
