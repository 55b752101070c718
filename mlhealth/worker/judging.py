"""What a window is judged by → its outcomes: a pure function, so where it is computed changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from mlhealth.profile.weighing import thinned
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import WindowKey
from mlhealth.store import closing as store
from mlhealth.store.closing import ModelVersion, Outcome, Part
from mlhealth.store.forgetting import forgotten_keys, without
from mlhealth.window_plan import Due
from mlhealth.worker.models import Models, Runtime

Ready = Callable[[str], Runtime]
"""Returns the runtime of a baseline by its hash."""


@dataclass(frozen=True)
class Question:
    """One window to judge, with all that the store says of it; picklable, and equal if the answer must be.

    `baselines`: hashes of those that judge it, in order. `forgotten`: keys of events to leave out, as uint64 in bytes.
    """

    name: ModelVersion
    due: Due
    revision: int
    parts: tuple[Part, ...]
    baselines: tuple[str, ...]
    forgotten: bytes = b""


class Judging:
    """Judges each window when it is closed, in this process."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def expect(self, questions: Iterable[Question]) -> None:
        """Hear of the questions to come, in order; nothing is done ahead here, and none is read."""

    def outcomes(self, question: Question) -> Sequence[Outcome]:
        """Return the outcomes of a window."""
        return judge(question, self._models.ready)


def question_of(connection: Connection, models: Models, name: ModelVersion, due: Due) -> Question:
    """Return what the store says of a window; without any rows, the baseline of its start judges it."""
    parts = store.parts(connection, name, due.start, due.end)
    baselines = list(dict.fromkeys(part.baseline for part in parts))
    if not baselines:
        at_start = models.at(*name, due.start)
        baselines = [] if at_start is None else [at_start.baseline.hash]
    revision = store.next_revision(connection, name, due.start)
    return Question(name, due, revision, tuple(parts), tuple(baselines), forgotten(connection, name))


def forgotten(connection: Connection, name: ModelVersion) -> bytes:
    """Return the keys of events of a model that were forgotten, as a question has them."""
    return forgotten_keys(connection, name[0]).tobytes()


def judge(question: Question, ready: Ready) -> list[Outcome]:
    """Return the outcomes of a window: by baseline, the overall one first, then one per segment."""
    gone = np.frombuffer(question.forgotten, dtype=np.uint64)
    found: list[Outcome] = []
    for baseline in question.baselines:
        runtime = ready(baseline)
        merged = _merged(runtime, [part for part in question.parts if part.baseline == baseline])
        found += _judged(runtime, question, _remembered(merged, gone))
    return found


def _merged(runtime: Runtime, parts: Sequence[Part]) -> dict[str, WindowProfile]:
    """Return a window's profiles by segment, the overall one first."""
    merged: dict[str, WindowProfile] = {"": WindowProfile.empty(runtime.layout)}
    for part in parts:
        profile = WindowProfile.from_bytes(part.profile, runtime.layout)
        merged[part.segment] = merged[part.segment].merge(profile) if part.segment in merged else profile
    for column in runtime.segments:
        for segment in column.segments[:-1]:
            merged.setdefault(segment, WindowProfile.empty(runtime.layout))
    return merged


def _remembered(merged: dict[str, WindowProfile], gone: NDArray[np.uint64]) -> dict[str, WindowProfile]:
    """Return the profiles without the sampled rows of forgotten events."""
    whole = merged[""]
    if whole.sample is None:
        return merged
    return {**merged, "": replace(whole, sample=without(whole.sample, gone))}


def _judged(runtime: Runtime, question: Question, profiles: dict[str, WindowProfile]) -> list[Outcome]:
    sample = profiles[""].standing_sample
    found = []
    for segment, profile in profiles.items():
        key = WindowKey(*question.name, segment, question.due.start, question.due.end)
        own = runtime.segment_sample(sample, segment) if segment else None
        report = runtime.evaluator.evaluate(profile, key, revision=question.revision, sample=own)
        kept = None if segment else runtime.kept(None if sample is None else thinned(sample))
        found.append(Outcome(report, replace(profile, sample=None).to_bytes(), kept))
    return found
