"""How every statistic behaves when nothing has drifted: by drawing windows of several sizes from the reference.

Each draw has two steps, so that the reference's own sampling error is part of the null: a true distribution from the
posterior of the reference's counts (Dirichlet; a value beyond the reference's range has the weight 1 that
exchangeability gives it, an unseen category that of Good and Turing), then a window from that distribution. Where
the reference's rows are known in time order, its own consecutive windows widen the null wherever they wander more
than independent rows would.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import Null
from mlhealth.detectors.cells import CellLayout, Cells, Floats
from mlhealth.detectors.registry import detectors
from mlhealth.events.batch import EventBatch
from mlhealth.profile.window_profile import WindowProfile

SIZES = (20, 60, 200, 1_000, 5_000, 25_000, 200_000)
"""Window sizes that are simulated; thresholds between them are interpolated."""
LEVELS = np.array([0.05, 0.1587, 0.5, 0.8413, 0.9, 0.99, 0.999, 0.9999])
"""Levels of the quantiles kept; 0.1587, 0.5 and 0.8413 are the median and one standard deviation to either side."""
DRAWS = 200
"""Simulated windows of each size."""
CHUNK = 2_000_000
"""Cells drawn at once, to bound memory."""
REPLAYED = 10
"""Fewest consecutive windows of a size that are worth replaying."""
MOST_REPLAYED = 100
"""Most of them, evenly spread over the reference."""
WANDERING = 3.0
"""Standard errors by which their mean statistic must exceed the simulated one to count as wandering."""


def fit_nulls(
    reference: WindowProfile,
    rng: np.random.Generator,
    *,
    batch: EventBatch | None = None,
    sizes: Sequence[int] = SIZES,
) -> dict[tuple[str, str], Null]:
    """Return the null of every detector and column it judges, by (detector, column).

    `batch`: the reference's rows in time order, where they have one.
    """
    layout = CellLayout.of(reference)
    cells = Cells.of(reference, layout)
    truths = _truths(cells, rng)
    drawn = [_simulate(cells, truths, n, rng) for n in sizes]
    replayed = [None if batch is None else _replay(cells, batch, n) for n in sizes]
    table = np.stack(_widen(drawn, replayed))
    rows = np.array(sizes, dtype=np.int64)
    return {
        (detector.name, name): Null(rows, LEVELS, table[:, k, j])
        for k, detector in enumerate(detectors())
        for j, name in enumerate(layout.names)
        if detector.judges(layout)[j]
    }


def tail_quantiles(draws: Floats, levels: Floats, body: float = 0.9) -> Floats:
    """Return quantiles of `draws` (n, ...) at `levels`, (..., levels); beyond `body` by an exponential tail.

    The tail's scale is the largest of three estimates (mean, root mean square and extreme of the excesses), so that
    rates that are mostly zero, and few draws, err towards a longer tail.
    """
    ordered = np.sort(draws, axis=0)
    inside = np.moveaxis(np.quantile(ordered, np.minimum(levels, body), axis=0), 0, -1)
    top = ordered[int(np.floor(body * len(ordered))) :]
    excess = np.maximum(top - inside[..., -1], 0.0)
    scale = np.maximum(excess.mean(axis=0), np.sqrt((excess * excess).mean(axis=0) / 2.0))
    scale = np.maximum(scale, excess.max(axis=0) / np.sum(1.0 / np.arange(1, len(top) + 1)))
    beyond = np.log((1.0 - body) / (1.0 - np.maximum(levels, body)))
    return np.asarray(inside + scale[..., None] * beyond)


def _quantiles(draws: Floats) -> Floats:
    """Return quantiles (detectors, d, levels) of statistics (draws, detectors, d)."""
    body = 0.9 if len(draws) >= 100 else 0.75 if len(draws) >= 40 else 0.5
    return tail_quantiles(draws, LEVELS, body)


def _statistics(reference: Cells, windows: Cells) -> Floats:
    """Return every detector's statistics on many windows, (windows, detectors, d), 0 where there are none."""
    return np.nan_to_num(np.stack([d.statistic(reference, windows) for d in detectors()], axis=1))


def _truths(cells: Cells, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return possible true shares of each cell (draws, c), and of missing values (draws, d), of all rows."""
    layout = cells.layout
    beyond = layout.outside.astype(np.float64)
    beyond[layout.unseen] = 0.5 + _singletons(cells)[layout.column[layout.unseen]]
    weight = rng.standard_gamma(cells.counts + beyond, (DRAWS, len(beyond)))
    missing = rng.standard_gamma(cells.missing + 0.5 * (layout.missing >= 0), (DRAWS, len(layout.names)))
    total = layout.sums(weight) + missing + cells.non_finite
    total = np.where(total > 0.0, total, 1.0)
    return weight / total[:, layout.column], missing / total


def _singletons(cells: Cells) -> Floats:
    """Return a lower bound on how many of each column's rare categories were seen once."""
    at = np.append(cells.layout.starts[1:], len(cells.layout.column)) - 2
    return np.where(cells.layout.rare > 0, np.maximum(2.0 * cells.layout.rare - cells.counts[at], 0.0), 0.0)


def _simulate(cells: Cells, truths: tuple[Floats, Floats], rows: int, rng: np.random.Generator) -> Floats:
    """Return statistics (draws, detectors, d) on simulated windows of about `rows` rows."""
    shares, missing = truths
    step = max(1, CHUNK // max(shares.shape[1], 1))
    parts = []
    for at in range(0, DRAWS, step):
        # Poisson counts are a multinomial window whose size varies a little, and come for all columns at once.
        window = Cells(
            cells.layout,
            rng.poisson(rows * shares[at : at + step]).astype(np.float64),
            rng.poisson(rows * missing[at : at + step]).astype(np.float64),
            np.zeros_like(missing[at : at + step]),
        )
        parts.append(_statistics(cells, window))
    return np.concatenate(parts)


def _replay(cells: Cells, batch: EventBatch, rows: int) -> Floats | None:
    """Return statistics (windows, detectors, d) on the reference's own consecutive windows, where it has enough."""
    count = batch.rows // rows
    if count < REPLAYED:
        return None
    starts = np.linspace(0, count - 1, min(count, MOST_REPLAYED)).astype(int) * rows
    parts = [EventBatch(batch.schema, batch.table.slice(int(start), rows)) for start in starts]
    windows = [WindowProfile.of(part, cells.layout.profile, sample=False) for part in parts]
    return _statistics(cells, _stack([Cells.of(window, cells.layout) for window in windows]))


def _stack(windows: list[Cells]) -> Cells:
    return Cells(
        windows[0].layout,
        np.stack([w.counts for w in windows]),
        np.stack([w.missing for w in windows]),
        np.stack([w.non_finite for w in windows]),
    )


def _widen(drawn: list[Floats], replayed: list[Floats | None]) -> list[Floats]:
    """Return the quantiles at each size, widened by what the reference's own windows wander beyond sampling.

    What wanders does not average out in larger windows: it is added in squares there, from the largest size seen.
    """
    widened: list[Floats] = []
    wander = np.zeros_like(_quantiles(drawn[0]))
    for simulated, own in zip(drawn, replayed, strict=True):
        quantiles = _quantiles(simulated)
        if own is not None:
            excess = np.maximum(_quantiles(own) ** 2 - quantiles**2, 0.0)
            wander = excess * _wanders(simulated, own)[..., None]
        widened.append(np.sqrt(quantiles**2 + wander))
    return widened


def _wanders(simulated: Floats, own: Floats) -> NDArray[np.bool_]:
    error = simulated.std(axis=0) / np.sqrt(len(own))
    return np.asarray(own.mean(axis=0) > simulated.mean(axis=0) + WANDERING * error)
