"""Failure kinds written after the estimators were frozen, and registered nowhere: nothing is fitted on them.

They are failures of real pipelines that `mlhealth.corrupt` has no kind for: most depend on other columns, on the row
before, or on the value itself.
"""

from __future__ import annotations

import numpy as np

from mlhealth.corrupt import Frame, Kind, Mask

Columns = tuple[str, ...]


def _forward_filled(frame: Frame, columns: Columns, rows: Mask, rng: np.random.Generator) -> Frame:
    """A sensor or feature job stops and its last value is repeated, in bursts of 20 to 60 rows."""
    for column in columns:
        for start in np.flatnonzero(rows)[:: max(1, int(rng.integers(20, 60)))]:
            stop = min(start + 40, len(frame))
            frame.loc[start : stop - 1, column] = frame[column].iloc[start]
    return frame


def _lost_decimals(frame: Frame, columns: Columns, rows: Mask, rng: np.random.Generator) -> Frame:
    """A locale drops the decimal point: 12.5 becomes 125, 0.25 becomes 25, whole numbers stay."""
    for column in columns:
        values = frame.loc[rows, column].to_numpy(float)
        frame.loc[rows, column] = [_without_point(value) for value in values]
    return frame


def _without_point(value: float) -> float:
    return float(f"{value:.6g}".split("e", maxsplit=1)[0].replace(".", "")) if np.isfinite(value) else value


def _mixed_units(frame: Frame, columns: Columns, rows: Mask, rng: np.random.Generator) -> Frame:
    """One part of the traffic, by the size of another column, reports in another unit."""
    other = frame.select_dtypes("number").columns
    by = frame[other[int(rng.integers(len(other)))]].rank(pct=True).to_numpy(float)
    part = rows & (by > 0.5)
    for column in columns:
        frame.loc[part, column] = frame.loc[part, column] * float(rng.choice([0.0254, 28.35, 7.46]))
    return frame


def _logged(frame: Frame, columns: Columns, rows: Mask, rng: np.random.Generator) -> Frame:
    """A preprocessing step runs twice: log(1 + |x|) of what the model expects raw."""
    for column in columns:
        values = frame.loc[rows, column].to_numpy(float)
        frame.loc[rows, column] = np.sign(values) * np.log1p(np.abs(values))
    return frame


def _wrapped(frame: Frame, columns: Columns, rows: Mask, rng: np.random.Generator) -> Frame:
    """An integer is too narrow: values wrap around at the column's middle."""
    for column in columns:
        low, limit = float(frame[column].min()), float(frame[column].median())
        if np.isfinite(limit) and limit > low:
            values = frame.loc[rows, column]
            frame.loc[rows, column] = low + (values - low) % (limit - low)
    return frame


def _truncated(frame: Frame, columns: Columns, rows: Mask, rng: np.random.Generator) -> Frame:
    """A text field is cut to two letters."""
    for column in columns:
        frame.loc[rows, column] = frame.loc[rows, column].map(lambda t: t and str(t)[:2])
    return frame


def _defaulted(frame: Frame, columns: Columns, rows: Mask, rng: np.random.Generator) -> Frame:
    """A form's default is sent: every row gets the column's most frequent value."""
    for column in columns:
        usual = frame[column].mode()
        if len(usual):
            frame.loc[rows, column] = usual.iloc[0]
    return frame


def _joined_late(frame: Frame, columns: Columns, rows: Mask, rng: np.random.Generator) -> Frame:
    """A lookup lags behind: all columns of one source come from a row up to a few hundred rows away."""
    source = np.clip(np.arange(len(frame)) + int(rng.integers(50, 300)), 0, len(frame) - 1)
    frame.loc[rows, list(columns)] = frame[list(columns)].iloc[source].to_numpy(copy=True)[rows]
    return frame


CONFIRMING = {
    kind.name: kind
    for kind in (
        Kind("forward fill", _forward_filled),
        Kind("lost decimals", _lost_decimals, "numeric"),
        Kind("mixed units", _mixed_units, "numeric"),
        Kind("logarithm", _logged, "numeric"),
        Kind("wrapped integers", _wrapped, "numeric"),
        Kind("truncated text", _truncated, "categorical"),
        Kind("default value", _defaulted),
        Kind("late join", _joined_late, at_least=2),
    )
}
"""Each kind by name."""
