"""What a demo story is: labelled rows to start from, then a stream in chapters, of which the truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from mlhealth.schema.model_schema import Task

TIME = "ts"
"""Event time column of every slice, integer microseconds."""


class Verdict(StrEnum):
    """What a chapter does to the model, by design; `OPEN` where only the labels can tell."""

    CALM = "calm"
    HARMLESS = "harmless"
    HARM = "harm"
    HEALED = "healed"
    OPEN = "open"
    REHEARSAL = "rehearsal"


@dataclass(frozen=True)
class Chapter:
    """A part of the stream of one kind; `version` of the model answers in it."""

    title: str
    verdict: Verdict
    version: str = "1"


@dataclass(frozen=True)
class Slice:
    """The labelled rows of one window, as the model receives them, with their event times in column `ts`."""

    chapter: Chapter
    rows: pd.DataFrame


@dataclass(frozen=True)
class Story:
    """Everything a demo needs: what the model is trained on, what the baseline is fitted on, and the stream.

    `window` is the window's width in microseconds. A slice whose chapter has a version other than "1" is answered by
    the model that the retraining request produced.
    """

    model: str
    task: Task
    target: str
    features: tuple[str, ...]
    train: pd.DataFrame
    reference: pd.DataFrame
    slices: tuple[Slice, ...] | Iterator[Slice]
    count: int
    window: int
    segments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
