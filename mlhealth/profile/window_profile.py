"""`WindowProfile`: everything remembered of one window, as a monoid under `merge`.

Per feature, counts over the baseline's fixed bins; moments for display; per predicted class a fine histogram of the
scores; and a bottom-k row sample by the hash of the event key, which makes the sample deterministic, mergeable and
free of duplicates. Counts and sample merge exactly in any grouping or order; moments are floating sums.
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
from pandas.util import hash_pandas_object

from mlhealth.errors import BaselineError
from mlhealth.events.batch import KEY, PREDICTION, TIME, EventBatch, score_columns
from mlhealth.profile.bins import Bins, CategoryBins, NumericBins
from mlhealth.profile.tally import Counter, Grouping
from mlhealth.schema.model_schema import ModelSchema, Task

__all__ = ["Bins", "CategoryBins", "NumericBins", "ProfileLayout", "WindowProfile", "bottom_k"]

FORMAT = 1
"""Version of the bytes written by `WindowProfile.to_bytes`."""
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

    `counts`: (layout.size,) int64. `moments`: (len(layout.numeric), 4) float64: sum, sum of squares, min, max of the
    finite values. `sample`: canonical table (see `events.batch`) sorted by `__key`, at most `layout.sample_rows` rows,
    or None for a segment, which filters the overall window's. `first` and `last`: event times seen, or None.
    """

    layout: ProfileLayout = field(repr=False)
    rows: int
    counts: NDArray[np.int64] = field(repr=False)
    moments: NDArray[np.float64] = field(repr=False)
    sample: pa.Table | None = field(repr=False)
    first: int | None = None
    last: int | None = None

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
        tallies = layout.counter.of(batch, _own_slots(batch, layout), groupings)
        time = batch.array(TIME).astype(np.int64, copy=False)
        return {
            (i, int(group)): cls(
                layout,
                int(tally.rows[group]),
                tally.counts[group].copy(),
                tally.moments[group].copy(),
                None,
                *_span(time, grouping, int(group)),
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
        )

    def to_bytes(self) -> bytes:
        """Return the profile, without its layout, as an Arrow IPC stream whose metadata holds the counts."""
        head = {
            "format": FORMAT,
            "rows": self.rows,
            "first": self.first,
            "last": self.last,
            "sample": self.sample is not None,
        }
        table = pa.table({}) if self.sample is None else self.sample.combine_chunks()
        metadata = {
            b"mlhealth": json.dumps(head).encode(),
            b"counts": zlib.compress(self.counts.astype("<i8").tobytes(), 1),
            b"moments": self.moments.astype("<f8").tobytes(),
        }
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
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
            counts = np.frombuffer(zlib.decompress(metadata[b"counts"]), dtype="<i8").astype(np.int64)
            moments = np.frombuffer(metadata[b"moments"], dtype="<f8").reshape(-1, 4).astype(np.float64)
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError, zlib.error) as error:
            raise BaselineError(
                f"a window profile cannot be read: {type(error).__name__}; build it again"
            ) from None
        if head.get("format") != FORMAT:
            raise BaselineError(
                f"a window profile has format {head.get('format')}, this version reads {FORMAT}"
            )
        if len(counts) != layout.size or len(moments) != len(layout.numeric):
            raise BaselineError("a window profile was built for another baseline; build it again")
        sample = table.replace_schema_metadata(None) if head["sample"] else None
        return cls(layout, head["rows"], counts, moments, sample, head["first"], head["last"])

    def column(self, name: str) -> NDArray[np.int64]:
        """Return the counts of one column, shape (its bins' size,)."""
        return self.counts[self.layout.slices[name]]

    @property
    def scores(self) -> NDArray[np.int64]:
        """Return the score histograms, shape (classes, SCORE_BINS), by predicted class; (0, SCORE_BINS) without."""
        return self.counts[self.layout.score_slice].reshape(-1, SCORE_BINS)


def bottom_k(table: pa.Table, k: int) -> pa.Table:
    """Return the rows of the k smallest distinct event keys, sorted by key.

    Of rows with equal keys, one stays: the one whose contents have the smallest digest, whatever their order.
    """
    keys = np.asarray(table.column(KEY).to_numpy())
    if len(keys) > 4 * k:
        near = np.flatnonzero(keys <= np.partition(keys, 2 * k)[2 * k])
        if len(np.unique(keys[near])) >= k:
            table, keys = table.take(pa.array(near)), keys[near]
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    if len(first) < len(keys):
        order = order[np.lexsort((_digests(table)[order], ordered))]
    return table.take(pa.array(order[first][:k])).combine_chunks()


def _digests(table: pa.Table) -> NDArray[np.uint64]:
    """Return a hash of each row's contents, (rows,), whatever the order of the columns."""
    frame = table.select(sorted(table.column_names)).to_pandas()
    return np.asarray(hash_pandas_object(frame, index=False), dtype=np.uint64)


def _merge_samples(a: pa.Table | None, b: pa.Table | None, k: int) -> pa.Table | None:
    if a is None or b is None:
        return a if b is None else b
    # a sample written by an earlier version lacks columns that were added since
    return bottom_k(pa.concat_tables([a, b], promote_options="default"), k)


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
