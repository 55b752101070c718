"""Cutting a whole file into windows, by rows or by event time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlhealth.events.batch import TIME, EventBatch


@dataclass(frozen=True)
class FileWindow:
    """One window of a file: `start` and `end` are row numbers (both inside) or event times (half-open)."""

    index: int
    start: int
    end: int
    batch: EventBatch


def row_windows(batch: EventBatch, rows: int) -> Iterator[FileWindow]:
    """Yield windows of `rows` consecutive rows in the file's order; the last may be shorter."""
    for index, first in enumerate(range(0, batch.rows, rows)):
        part = EventBatch(batch.schema, batch.table.slice(first, rows))
        yield FileWindow(index, first, first + part.rows - 1, part)


def time_windows(batch: EventBatch, width: int) -> Iterator[FileWindow]:
    """Yield tumbling windows of `width` microseconds of event time, aligned to the epoch, that hold any row."""
    time = batch.array(TIME).astype(np.int64)
    start = (time // width) * width
    order = np.argsort(start, kind="stable")
    starts, first = np.unique(start[order], return_index=True)
    for index, (begin, rows) in enumerate(zip(starts.tolist(), np.split(order, first)[1:], strict=True)):
        yield FileWindow(index, begin, begin + width, batch.take(rows))
