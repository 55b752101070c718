"""`WindowProfile`: everything remembered of one window, as a monoid under `merge`.

Per feature, counts over the baseline's fixed bins; moments for display; per predicted class a fine histogram of the
scores; and a bottom-k row sample by the hash of the event key, which makes the sample deterministic, mergeable and
free of duplicates. Counts and sample merge exactly in any grouping or order; moments are floating sums. Rows of a
sampled log have weights besides (`weighing`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.errors import BaselineError
from mlhealth.events.batch import PREDICTION, TIME, EventBatch, score_columns, stacked
from mlhealth.profile.bins import Bins, CategoryBins, NumericBins
from mlhealth.profile.sampling import bottom_k
from mlhealth.profile.tally import Counter, Grouping
from mlhealth.profile.weighing import Weighing, standing, thinned, units
from mlhealth.schema.model_schema import ModelSchema, Task

__all__ = ["Bins", "CategoryBins", "NumericBins", "ProfileLayout", "WindowProfile"]

FORMAT = 1
"""Version of the bytes written by `WindowProfile.to_bytes`."""
WEIGHED_FORMAT = 2
"""The same of a profile whose rows have weights."""
SCORE_BINS = 100
SAMPLE_ROWS = 5_000
PREDICTED = "__prediction"
"""Name under which the prediction itself is profiled, beside the features."""


@dataclass(frozen=True)
class ProfileLayout:
    """Where each column's counts lie in a profile; part of the baseline, fixed for its life.

    `columns` has the schema's features in order, then `__prediction`. Score histograms follow: for each predicted
    class, SCORE_BINS equal bins of [0, 1] of the positive class's probability (binary) or of the predicted
    class's own (multiclass).
    """

    schema: ModelSchema
    columns: tuple[tuple[str, Bins], ...]
    sample_rows: int = SAMPLE_ROWS

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Slice of the count vector that belongs to each column."""
        ends = np.cumsum([bins.size for _, bins in self.columns])
        return {
            name: slice(int(end) - bins.size, int(end))
            for (name, bins), end in zip(self.columns, ends, strict=True)
        }

    @cached_property
    def bins(self) -> dict[str, Bins]:
        """Bins of each column by name."""
        return dict(self.columns)

    @property
    def score_slice(self) -> slice:
        """Slice of the count vector that holds the score histograms (empty without scores)."""
        start = sum(bins.size for _, bins in self.columns)
        return slice(start, start + (len(self.schema.classes) * SCORE_BINS if self.schema.scores else 0))

    @property
    def size(self) -> int:
        """Length of the count vector."""
        return int(self.score_slice.stop)

    @cached_property
    def numeric(self) -> tuple[str, ...]:
        """Columns that have moments, in order."""
        return tuple(name for name, bins in self.columns if isinstance(bins, NumericBins))

    @cached_property
    def counter(self) -> Counter:
        """Counts a batch's columns; the slots of predictions and scores are the profile's own to find."""
        own = PREDICTED if self.schema.is_classification else None
        columns = [(name, bins) for name, bins in self.columns if name != own]
        return Counter(columns, [self.slices[name].start for name, _ in columns], self.size)


@dataclass(frozen=True)
class WindowProfile:
    """All the statistics remembered of one window.

    `rows`, `counts` and `moments` are of the rows seen; what they stand for is in `weighing`, where they have weights.
    `counts`: (layout.size,) int64. `moments`: (len(layout.numeric), 4) float64: sum, sum of squares, min, max of the
    finite values. `sample`: canonical table (see `events.batch`) sorted by `__key` (over weight), at most
    `layout.sample_rows` rows, or None for a segment, which filters the overall window's. `first` and `last`: event
    times seen, or None.
    """

    layout: ProfileLayout = field(repr=False)
    rows: int
    counts: NDArray[np.int64] = field(repr=False)
    moments: NDArray[np.float64] = field(repr=False)
    sample: pa.Table | None = field(repr=False)
    first: int | None = None
    last: int | None = None
    weighing: Weighing | None = None

    @classmethod
    def empty(cls, layout: ProfileLayout) -> WindowProfile:
        """Return the identity of `merge`."""
        moments = np.tile(np.array([0.0, 0.0, np.inf, -np.inf]), (len(layout.numeric), 1))
        return cls(layout, 0, np.zeros(layout.size, dtype=np.int64), moments, None)

    @classmethod
    def of(cls, batch: EventBatch, layout: ProfileLayout, *, sample: bool = True) -> WindowProfile:
        """Return the profile of a batch; `sample=False` for segments."""
        groups = Grouping(np.zeros(batch.rows, dtype=np.int64), 1)
        profile = next(iter(cls.of_groups(batch, layout, [groups]).values()), None)
        if profile is None:
            return cls.empty(layout)
        return replace(profile, sample=bottom_k(batch.table, layout.sample_rows)) if sample else profile

    @classmethod
    def of_groups(
        cls, batch: EventBatch, layout: ProfileLayout, groupings: Sequence[Grouping]
    ) -> dict[tuple[int, int], WindowProfile]:
        """Return the profile, without a sample, of each group that has rows, by number of grouping and of group."""
        if batch.rows == 0:
            return {}
        weights = units(batch.table)
        tallies = layout.counter.of(batch, _own_slots(batch, layout), groupings, weights)
        time = batch.array(TIME).astype(np.int64, copy=False)
        return {
            (i, int(group)): cls(
                layout,
                int(tally.rows[group]),
                tally.counts[group].copy(),
                tally.moments[group].copy(),
                None,
                *_span(time, grouping, int(group)),
                _weighing(weights, grouping, int(group), tally.weighed),
            )
            for i, (grouping, tally) in enumerate(zip(groupings, tallies, strict=True))
            for group in np.flatnonzero(tally.rows)
        }

    def merge(self, other: WindowProfile) -> WindowProfile:
        """Return the profile of both windows' rows together."""
        if self.layout is not other.layout and self.layout != other.layout:
            raise BaselineError("two profiles of different baselines cannot be merged")
        a, b = self.moments, other.moments
        moments = np.column_stack(
            [a[:, :2] + b[:, :2], np.minimum(a[:, 2], b[:, 2]), np.maximum(a[:, 3], b[:, 3])]
        )
        return WindowProfile(
            self.layout,
            self.rows + other.rows,
            self.counts + other.counts,
            moments,
            _merge_samples(self.sample, other.sample, self.layout.sample_rows),
            min((t for t in (self.first, other.first) if t is not None), default=None),
            max((t for t in (self.last, other.last) if t is not None), default=None),
            _merge_weighings(self, other),
        )

    @property
    def events(self) -> int:
        """Number of events of the traffic: of a sampled log an estimate, else the rows."""
        return self.rows if self.weighing is None else self.weighing.events

    @property
    def standing_sample(self) -> pa.Table | None:
        """The sample, in which a weight says how many events a row stands for now."""
        return None if self.sample is None else standing(self.sample, self.layout.sample_rows)

    def effective(self) -> WindowProfile:
        """Return the profile of as many rows without weights as say as much; itself where rows have none."""
        weighing, sample = self.weighing, self.standing_sample
        if weighing is None:
            return self
        return replace(
            self,
            rows=weighing.effective_rows,
            counts=weighing.effective_counts,
            sample=None if sample is None else thinned(sample),
            weighing=None,
        )

    def to_bytes(self, compression: str | None = "zstd") -> bytes:
        """Return the profile, without its layout, as an Arrow IPC stream whose metadata holds the counts.

        `compression` is of the sample: zstd, or None where it is written often and kept for a short time (a sample of
        numbers shrinks by a quarter, and compressing takes several times as long as writing it).
        """
        head: dict[str, Any] = {
            "format": FORMAT,
            "rows": self.rows,
            "first": self.first,
            "last": self.last,
            "sample": self.sample is not None,
        }
        table = pa.table({}) if self.sample is None else self.sample.combine_chunks()
        metadata = {b"counts": _packed(self.counts), b"moments": self.moments.astype("<f8").tobytes()}
        if self.weighing is not None:
            head |= {
                "format": WEIGHED_FORMAT,
                "total": self.weighing.total,
                "squares": self.weighing.squares,
            }
            metadata[b"weighed"] = _packed(self.weighing.counts)
        metadata[b"mlhealth"] = json.dumps(head).encode()
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_stream(sink, table.schema.with_metadata(metadata), options=options) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    @classmethod
    def from_bytes(cls, blob: bytes, layout: ProfileLayout) -> WindowProfile:
        """Return the profile that `to_bytes` wrote; raises BaselineError where it is damaged or does not fit."""
        try:
            table = pa.ipc.open_stream(blob).read_all()
            metadata = table.schema.metadata
            head: dict[str, Any] = json.loads(metadata[b"mlhealth"])
            counts = _unpacked(metadata[b"counts"])
            moments = np.frombuffer(metadata[b"moments"], dtype="<f8").reshape(-1, 4).astype(np.float64)
            weighing = None
            if head.get("format") == WEIGHED_FORMAT:
                weighing = Weighing(head["total"], head["squares"], _unpacked(metadata[b"weighed"]))
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError, zlib.error) as error:
            raise BaselineError(
                f"a window profile cannot be read: {type(error).__name__}; build it again"
            ) from None
        if head.get("format") not in {FORMAT, WEIGHED_FORMAT}:
            raise BaselineError(
                f"a window profile has format {head.get('format')}, this version reads {WEIGHED_FORMAT} and older"
            )
        if len(counts) != layout.size or len(moments) != len(layout.numeric):
            raise BaselineError("a window profile was built for another baseline; build it again")
        sample = table.replace_schema_metadata(None) if head["sample"] else None
        return cls(layout, head["rows"], counts, moments, sample, head["first"], head["last"], weighing)

    def column(self, name: str) -> NDArray[np.int64]:
        """Return the counts of one column, shape (its bins' size,)."""
        return self.counts[self.layout.slices[name]]

    @property
    def scores(self) -> NDArray[np.int64]:
        """Return the score histograms, shape (classes, SCORE_BINS), by predicted class; (0, SCORE_BINS) without."""
        return self.counts[self.layout.score_slice].reshape(-1, SCORE_BINS)


def _merge_samples(a: pa.Table | None, b: pa.Table | None, k: int) -> pa.Table | None:
    if a is None or b is None:
        return a if b is None else b
    return bottom_k(stacked([a, b]), k)


def _merge_weighings(a: WindowProfile, b: WindowProfile) -> Weighing | None:
    if a.weighing is None and b.weighing is None:
        return None
    weighings = [p.weighing or Weighing.of_ones(p.rows, p.counts) for p in (a, b)]
    return weighings[0].merge(weighings[1])


def _weighing(
    weights: NDArray[np.int64] | None, grouping: Grouping, group: int, counts: NDArray[np.int64] | None
) -> Weighing | None:
    """Return the weighing of a group that has rows; `counts` are all groups' weighed ones."""
    if weights is None or counts is None:
        return None
    own = weights if grouping.groups == 1 else weights[grouping.codes == group]
    return Weighing.of(own, counts[group].copy())


def _packed(counts: NDArray[np.int64]) -> bytes:
    return zlib.compress(counts.astype("<i8").tobytes(), 1)


def _unpacked(blob: bytes) -> NDArray[np.int64]:
    return np.frombuffer(zlib.decompress(blob), dtype="<i8").astype(np.int64)


def _span(time: NDArray[np.int64], grouping: Grouping, group: int) -> tuple[int, int]:
    """Return the first and last time of a group that has rows."""
    own = time if grouping.groups == 1 else time[grouping.codes == group]
    return int(own.min()), int(own.max())


def _own_slots(batch: EventBatch, layout: ProfileLayout) -> list[NDArray[np.int64]]:
    """Return the slots of predicted classes and of scores, each of shape (rows,)."""
    slots = []
    predicted = batch.array(PREDICTION)
    if batch.schema.is_classification:
        slots.append(predicted.astype(np.int64) + layout.slices[PREDICTED].start)
    if layout.schema.scores:
        slots.append(_score_slots(batch) + layout.score_slice.start)
    return slots


def _score_slots(batch: EventBatch) -> NDArray[np.int64]:
    schema = batch.schema
    predicted = batch.array(PREDICTION).astype(np.int64)
    scores = np.column_stack([batch.array(c) for c in score_columns(schema)]).astype(np.float64)
    own = scores[:, 0] if schema.task is Task.BINARY else scores[np.arange(len(predicted)), predicted]
    return predicted * SCORE_BINS + np.minimum((own * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
