"""A story from anyone's table: train on the first part, fit the baseline on the next, monitor the rest.

After the rows as they came, two rehearsals on the last of them: what would have been seen had an input broken. They
are marked as rehearsals everywhere, since they were made here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from mlhealth.clock import HOUR, from_iso
from mlhealth.demo.model import DeployedModel, train
from mlhealth.demo.story import TIME, Chapter, Slice, Story, Verdict
from mlhealth.errors import DataError
from mlhealth.files.tables import read_table
from mlhealth.schema.model_schema import Task

TRAIN_SHARE, REFERENCE_SHARE = 0.4, 0.25
MAX_TRAIN, MAX_REFERENCE = 20_000, 8_000
MIN_ROWS, MIN_REFERENCE = 2_000, 500
WINDOWS, MIN_WINDOW, MAX_WINDOW = 40, 200, 2_000
REHEARSED = 3
START = from_iso("2025-01-01T00:00:00Z")


def own_table(path: Path, target: str, time: str | None, rng: np.random.Generator) -> Story:
    """Return the story of the table at `path`; raises DataError where it is too small or lacks a column."""
    frame = _read(path, target, time)
    task = _task(frame[target])
    features, notes = _features(frame, target, time)
    first, second = int(len(frame) * TRAIN_SHARE), int(len(frame) * (TRAIN_SHARE + REFERENCE_SHARE))
    learned = frame.iloc[max(0, first - MAX_TRAIN) : first].reset_index(drop=True)
    reference = frame.iloc[max(first, second - MAX_REFERENCE) : second].reset_index(drop=True)
    rest = frame.iloc[second:].reset_index(drop=True)
    slices = _natural(rest)
    rehearsals = _rehearsals(slices, train(learned, target, features, task), target, rng)
    timed = [_timed(s, START + i * HOUR) for i, s in enumerate([*slices, *rehearsals])]
    return Story(
        model=path.stem,
        task=task,
        target=target,
        features=features,
        train=learned,
        reference=_timed(Slice(slices[0].chapter, reference), START - HOUR).rows,
        slices=tuple(timed),
        count=len(timed),
        window=HOUR,
        notes=notes,
    )


def _read(path: Path, target: str, time: str | None) -> pd.DataFrame:
    frame: pd.DataFrame = read_table(path).to_pandas()
    for column in (target, time):
        if column is not None and column not in frame.columns:
            raise DataError(
                f"{path}: there is no column {column!r}; it has {', '.join(map(str, frame.columns[:30]))}"
            )
    if time is not None:
        frame = frame.sort_values(time, kind="stable")
    frame = frame[frame[target].notna()].reset_index(drop=True)
    if len(frame) < MIN_ROWS:
        raise DataError(
            f"{path}: {len(frame)} rows with a {target!r}; the demo needs {MIN_ROWS} to train and monitor"
        )
    return frame


def _task(target: pd.Series) -> Task:
    values = target.nunique()
    if values < 2:
        raise DataError(f"column {target.name!r} has one value only; name a target that varies")
    if pd.api.types.is_numeric_dtype(target) and not pd.api.types.is_bool_dtype(target) and values > 20:
        return Task.REGRESSION
    if values > 50:
        raise DataError(f"column {target.name!r} has {values} classes; the demo can show up to 50")
    return Task.BINARY if values == 2 else Task.MULTICLASS


def _features(frame: pd.DataFrame, target: str, time: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns worth learning from, and a sentence for each that was left out."""
    kept, notes = [], []
    for name in frame.columns.drop([c for c in (target, time) if c is not None]):
        distinct = frame[name].nunique()
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        if distinct < 2:
            notes.append(f"{name} is left out: it never varies")
        elif _tells_order(frame[name], _window_rows(len(frame))):
            notes.append(f"{name} is left out: it hardly varies within a window, so it only tells the order")
        elif not numeric and distinct > 0.5 * len(frame):
            notes.append(f"{name} is left out: it differs in most rows, like a name or an id")
        else:
            kept.append(str(name))
    if not kept:
        raise DataError("no column is left to learn from besides the target")
    return tuple(kept), tuple(notes)


def _window_rows(rows: int) -> int:
    """Return the rows of a window where the whole table has `rows`."""
    monitored = int(rows * (1 - TRAIN_SHARE - REFERENCE_SHARE))
    return int(np.clip(monitored // WINDOWS, MIN_WINDOW, MAX_WINDOW))


def _tells_order(column: pd.Series[Any], size: int) -> bool:
    """Whether a column varies over the table but keeps still in most windows, as a year or a month does."""
    if column.value_counts(normalize=True).iloc[0] > 0.8:
        return False
    window = np.arange(len(column)) // size
    still = column.groupby(window).agg(lambda rows: (rows == rows.iloc[0]).mean() > 0.95)
    return bool(still.mean() > 0.5)


def _natural(rest: pd.DataFrame) -> list[Slice]:
    size = int(np.clip(len(rest) // WINDOWS, MIN_WINDOW, MAX_WINDOW))
    chapter = Chapter("rows as they came", Verdict.OPEN)
    return [Slice(chapter, rest.iloc[i : i + size]) for i in range(0, len(rest) - size + 1, size)]


def _rehearsals(
    slices: list[Slice], model: DeployedModel, target: str, rng: np.random.Generator
) -> list[Slice]:
    """Return copies of the last slices, first with one column's unit changed, then with one column gone."""
    last = [s.rows for s in slices[-REHEARSED:]]
    ranked = _by_importance(pd.concat(last), model, target, rng)
    numeric = [c for c in ranked if pd.api.types.is_float_dtype(last[0][c]) or last[0][c].nunique() > 12]
    unit, gone = (numeric or ranked)[0], ranked[min(1, len(ranked) - 1)]
    scaled = Chapter(f"rehearsal: {unit} arrives 100x too large", Verdict.REHEARSAL)
    lost = Chapter(f"rehearsal: {gone} vanishes", Verdict.REHEARSAL)
    made = [Slice(scaled, r.assign(**{unit: r[unit] * 100})) for r in last] if numeric else []
    empty = np.nan if pd.api.types.is_numeric_dtype(last[0][gone]) else None
    return made + [Slice(lost, r.assign(**{gone: empty})) for r in last]


def _by_importance(
    rows: pd.DataFrame, model: DeployedModel, target: str, rng: np.random.Generator
) -> list[str]:
    sample = rows.sample(min(len(rows), 1_500), random_state=int(rng.integers(2**31)))
    found = permutation_importance(
        model.pipeline, sample[list(model.features)], sample[target], n_repeats=2, random_state=0
    )
    return [model.features[i] for i in np.argsort(-found.importances_mean)]


def _timed(piece: Slice, start: int) -> Slice:
    rows = piece.rows.reset_index(drop=True)
    return Slice(piece.chapter, rows.assign(**{TIME: start + np.arange(len(rows)) * HOUR // len(rows)}))
