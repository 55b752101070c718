"""The partial profiles that one worker grows: one per model version, segment, window, partition and baseline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mlhealth.events.batch import KEY, TIME, EventBatch
from mlhealth.events.messages import Messages, Partition
from mlhealth.profile.sampling import GrowingSample
from mlhealth.profile.tally import Grouping
from mlhealth.profile.window_profile import ProfileLayout, WindowProfile
from mlhealth.sources.base import Address
from mlhealth.store.checkpoints import Count, PartialKey, StoredPartial
from mlhealth.store.event_ids import IdPlace
from mlhealth.windows import window_start
from mlhealth.worker.duplicates import EventIds
from mlhealth.worker.models import Runtime

RuntimeAt = Callable[[int], Runtime | None]
"""Given a window's start: what judges it, None where no baseline speaks for it yet."""
CountRows = Callable[[Partition, str, int], None]
"""Told of a partition, what became of rows of it, and how many they are."""
Wanted = Callable[[Partition, int], bool]
"""Given a partition and a window's start: whether its rows are to be taken."""


class Partial:
    """A growing profile; `saved`: its rows at the last checkpoint."""

    def __init__(self, profile: WindowProfile, end: int, first_offset: int) -> None:
        self.end = end
        self.first_offset = first_offset
        self.saved = -1
        self._profile = replace(profile, sample=None)
        self.sample = GrowingSample(profile.layout.sample_rows, profile.sample)

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self._profile.rows

    @property
    def is_dirty(self) -> bool:
        """Whether rows came since the last checkpoint."""
        return self.rows != self.saved

    @property
    def unsaved_bytes(self) -> int:
        """About how much a partial that no checkpoint holds yet has in memory: its sample, eight bytes a value."""
        layout = self._profile.layout
        return 8 * len(layout.columns) * min(self.rows, layout.sample_rows) if self.saved < 0 else 0

    @property
    def profile(self) -> WindowProfile:
        """The profile with its sample."""
        return replace(self._profile, sample=self.sample.table)

    def merge(self, counted: WindowProfile) -> None:
        """Add the counts of more rows."""
        self._profile = self._profile.merge(counted)


@dataclass(frozen=True)
class Rows:
    """Decoded rows of one model version: `message` says of which message each row is part, shape (rows,)."""

    address: Address
    messages: Messages
    batch: EventBatch
    message: NDArray[np.int32]


@dataclass(frozen=True)
class Terms:
    """How rows are taken: into panes of length `size`; of `wanted` panes only; `ids` to know repeated rows.

    `keeps_repeated`: they are counted and stay. `final_end`: rows of panes that end by it are late.
    """

    size: int
    runtime_at: RuntimeAt
    count: CountRows = field(default=lambda partition, outcome, rows: None)
    wanted: Wanted | None = None
    ids: EventIds | None = None
    keeps_repeated: bool = False
    final_end: int | None = None


@dataclass(frozen=True)
class _Pane:
    """The rows, by position, of one window and partition."""

    partition: Partition
    start: int
    rows: NDArray[np.intp] = field(repr=False)


class OpenProfiles:
    """Grows with each batch until its windows take no more rows."""

    def __init__(self) -> None:
        self._partials: dict[PartialKey, Partial] = {}

    def __len__(self) -> int:
        return len(self._partials)

    @property
    def unsaved_bytes(self) -> int:
        """About how much memory the samples take that no checkpoint holds yet."""
        return sum(p.unsaved_bytes for key, p in self._partials.items() if not key.segment)

    def restore(self, stored: StoredPartial, layout: ProfileLayout) -> None:
        """Take up a stored partial; raises BaselineError where it cannot be read."""
        partial = Partial(WindowProfile.from_bytes(stored.profile, layout), stored.end, stored.first_offset)
        partial.saved = partial.rows
        self._partials[stored.key] = partial

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop everything of these partitions."""
        gone = set(partitions)
        self._partials = {k: v for k, v in self._partials.items() if k.partition not in gone}

    def add(self, rows: Rows, terms: Terms) -> None:
        """Count rows in the windows that they fall in."""
        by_runtime: dict[str, tuple[Runtime, list[_Pane]]] = {}
        for pane in _panes(rows, terms.size):
            if terms.wanted is not None and not terms.wanted(pane.partition, pane.start):
                continue
            if terms.final_end is not None and pane.start + terms.size <= terms.final_end:
                terms.count(pane.partition, "late", len(pane.rows))
                continue
            runtime = terms.runtime_at(pane.start)
            if runtime is None:
                terms.count(pane.partition, "waiting", len(pane.rows))
                continue
            mine = pane if terms.ids is None else _first_seen(rows, pane, terms.ids)
            repeated = len(pane.rows) - len(mine.rows)
            terms.count(pane.partition, "repeated" if terms.keeps_repeated else "duplicate", repeated)
            mine = pane if terms.keeps_repeated else mine
            terms.count(pane.partition, "accepted", len(mine.rows))
            if len(mine.rows):
                by_runtime.setdefault(runtime.baseline.hash, (runtime, []))[1].append(mine)
        for runtime, panes in by_runtime.values():
            self._add(_only(rows, panes), runtime, terms.size)

    def _add(self, found: tuple[Rows, Sequence[_Pane]], runtime: Runtime, size: int) -> None:
        rows, panes = found
        batch, address = rows.batch, rows.address
        codes = np.zeros(batch.rows, dtype=np.int64)
        for number, pane in enumerate(panes):
            codes[pane.rows] = number
        groupings, names = _groupings(batch, codes, len(panes), runtime)
        for (grouping, group), profile in WindowProfile.of_groups(batch, runtime.layout, groupings).items():
            number, segment = divmod(group, len(names[grouping]))
            pane = panes[number]
            key = PartialKey(
                address.model, address.version, names[grouping][segment], pane.start, pane.partition,
                runtime.baseline.hash,
            )  # fmt: skip
            partial = self._partials.get(key)
            if partial is None:
                offset = int(rows.messages.offsets[rows.message[pane.rows]].min())
                partial = self._partials[key] = Partial(
                    WindowProfile.empty(runtime.layout), pane.start + size, offset
                )
            partial.merge(profile)
            if not key.segment:
                partial.sample.add(batch.table, None if len(panes) == 1 else pane.rows)

    def drop(self, key: PartialKey) -> None:
        """Drop a partial, to build it again."""
        self._partials.pop(key, None)

    def ensure(self, stored: StoredPartial, layout: ProfileLayout) -> None:
        """Let a partial that was built again replace the stored one, even where none of its rows could be read."""
        if stored.key not in self._partials:
            self._partials[stored.key] = Partial(WindowProfile.empty(layout), stored.end, stored.first_offset)

    def dirty(self, is_held: Callable[[PartialKey], bool] = lambda _: False) -> list[StoredPartial]:
        """Return what the next checkpoint must hold; partials that are held back come later."""
        return [
            StoredPartial(key, p.end, p.rows, p.first_offset, p.profile.to_bytes(None))
            for key, p in sorted(self._partials.items())
            if p.is_dirty and not is_held(key)
        ]

    def late(self, refused: Collection[PartialKey]) -> list[Count]:
        """Return what to count for rows whose window takes no more: late instead of accepted."""
        counts: list[Count] = []
        for key in refused:
            partial = self._partials[key]
            if key.segment == "":
                rows = partial.rows - max(partial.saved, 0)
                counts.append(Count(key.partition, key.model, key.version, "accepted", -rows))
                counts.append(Count(key.partition, key.model, key.version, "late", rows))
        return counts

    def saved(self, written: Iterable[StoredPartial], refused: Iterable[PartialKey]) -> None:
        """Note that a checkpoint was written, all but the refused partials."""
        for stored in written:
            self._partials[stored.key].saved = stored.rows
        for key in refused:
            del self._partials[key]

    def retire(self, model: str, version: str, final_end: int) -> None:
        """Forget windows that take no more rows."""
        gone = [
            key
            for key, partial in self._partials.items()
            if (key.model, key.version) == (model, version)
            and partial.end <= final_end
            and not partial.is_dirty
        ]
        for key in gone:
            del self._partials[key]


def _panes(rows: Rows, size: int) -> Iterator[_Pane]:
    """Yield the rows by partition and window, in that order."""
    partitions, messages = rows.messages.partitions, rows.messages
    starts = window_start(rows.batch.array(TIME).astype(np.int64, copy=False), size)
    numbers = starts // size
    least = int(numbers.min())
    panes = int(numbers.max()) - least + 1
    code = messages.index[rows.message] * np.int64(panes) + (numbers - least)
    if panes == 1 and (code == code[0]).all():
        order, ends = np.arange(len(code)), np.zeros(0, dtype=np.intp)
    else:
        order = np.argsort(code, kind="stable")
        ends = np.flatnonzero(np.diff(code[order])) + 1
    for group in np.split(order, ends):
        partition, number = divmod(int(code[group[0]]), panes)
        yield _Pane(partitions[partition], (least + number) * size, group)


def _first_seen(rows: Rows, pane: _Pane, ids: EventIds) -> _Pane:
    """Return the pane's rows whose id was not seen before in its window and partition."""
    place = IdPlace(rows.address.model, rows.address.version, pane.start, pane.partition)
    keys = rows.batch.array(KEY).astype(np.uint64, copy=False)[pane.rows]
    return replace(pane, rows=pane.rows[ids.new(place, keys)])


def _only(rows: Rows, panes: Sequence[_Pane]) -> tuple[Rows, Sequence[_Pane]]:
    """Return the rows of these panes alone, with the panes' positions among them."""
    if sum(len(pane.rows) for pane in panes) == rows.batch.rows:
        return rows, panes
    kept = np.concatenate([pane.rows for pane in panes])
    ends = np.cumsum([len(pane.rows) for pane in panes])
    moved = [
        replace(pane, rows=np.arange(end - len(pane.rows), end))
        for pane, end in zip(panes, ends, strict=True)
    ]
    return replace(rows, batch=rows.batch.take(kept), message=rows.message[kept]), moved


def _groupings(
    batch: EventBatch, codes: NDArray[np.int64], panes: int, runtime: Runtime
) -> tuple[list[Grouping], list[tuple[str, ...]]]:
    """Return how rows are told apart: by pane, and by pane and segment for each column; and the segments' names."""
    groupings = [Grouping(codes, panes)]
    names: list[tuple[str, ...]] = [("",)]
    for column in runtime.segments:
        segments = column.segments
        groupings.append(Grouping(codes * len(segments) + column.codes(batch.table), panes * len(segments)))
        names.append(segments)
    return groupings, names
