"""`python -m benchmarks.drift`: CPU time of all drift statistics of one window from its profile, and of segments.

Segments: what counting a batch of rows costs when every row is counted in its segment too, by the number of segments,
as a ratio to counting the overall window alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from benchmarks.results import markdown_table, write_results
from mlhealth.baseline.record import Baseline, Null
from mlhealth.detectors import Panel, fit_nulls
from mlhealth.events.batch import KEY, PREDICTION, TIME, EventBatch, score_column
from mlhealth.profile.layout import layout_of
from mlhealth.profile.tally import Grouping
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

NUMERIC, CATEGORICAL = 40, 10
REFERENCE_ROWS, WINDOW_ROWS = 20_000, 10_000
ROUNDS, TIMES = 5, 100
SEGMENTS = (2, 10, 50)
"""Numbers of segments that a column tells apart."""


def main() -> None:
    """Measure, print and write the results."""
    rng = np.random.default_rng(0)
    reference = _batch(REFERENCE_ROWS, rng)
    layout = layout_of(reference)
    profile = WindowProfile.of(reference, layout)
    started = time.process_time()
    nulls = fit_nulls(profile, rng, batch=reference)
    fitted = time.process_time() - started
    panel = Panel(_baseline(reference, profile, nulls))
    window = WindowProfile.of(_batch(WINDOW_ROWS, rng), layout, sample=False)
    figures = {
        "statistics_ms": _milliseconds(lambda: panel.statistics(window)),
        "statistics_thresholds_quality_ms": _milliseconds(lambda: panel.judge(window)),
        "fit_nulls_s": fitted,
        **_segments(reference, rng),
    }
    print(markdown_table([{"what": name, "CPU": round(value, 3)} for name, value in figures.items()]))
    write_results("drift", figures)


def _segments(batch: EventBatch, rng: np.random.Generator) -> dict[str, float]:
    """Return what counting costs with so many segments, as ratios to the overall window alone."""
    layout, whole = layout_of(batch), Grouping(np.zeros(batch.rows, dtype=np.int64), 1)
    alone = _milliseconds(lambda: WindowProfile.of_groups(batch, layout, [whole]), times=3)
    ratios = {}
    for count in SEGMENTS:
        own = Grouping(rng.integers(0, count, batch.rows), count)
        both = _milliseconds(lambda own=own: WindowProfile.of_groups(batch, layout, [whole, own]), times=3)  # type: ignore[misc]
        ratios[f"counting_with_{count}_segments_ratio"] = both / alone
    return ratios


def _milliseconds(work: Callable[[], object], times: int = TIMES) -> float:
    """Return the median over rounds of the CPU milliseconds of one call."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - started) / times * 1e3)
    return float(np.median(found))


def _batch(rows: int, rng: np.random.Generator) -> EventBatch:
    score = rng.beta(2.0, 2.0, rows)
    columns = {
        KEY: pa.array(rng.integers(0, 2**63, rows).astype(np.uint64)),
        TIME: pa.array(np.arange(rows)),
        PREDICTION: pa.array((score > 0.5).astype(np.int16)),
        score_column("1"): pa.array(score),
    }
    columns |= {f"n{i}": pa.array(rng.normal(size=rows)) for i in range(NUMERIC)}
    letters = np.array(list("abcdefghij"))
    columns |= {f"c{i}": pa.array(letters[rng.integers(0, 10, rows)].tolist()) for i in range(CATEGORICAL)}
    features = [Feature(f"n{i}", FeatureType.NUMERIC, Storage.FLOAT) for i in range(NUMERIC)]
    features += [Feature(f"c{i}", FeatureType.CATEGORICAL, Storage.STRING) for i in range(CATEGORICAL)]
    schema = ModelSchema(
        "m", "1", Task.BINARY, tuple(features), "y", Storage.INTEGER, scores=("s",), classes=("0", "1")
    )
    return EventBatch(schema, pa.table(columns))


def _baseline(reference: EventBatch, profile: WindowProfile, nulls: dict[tuple[str, str], Null]) -> Baseline:
    return Baseline(
        schema=reference.schema,
        layout=profile.layout,
        reference=profile,
        rows=reference.table,
        metrics={},
        primary="accuracy",
        estimators={},
        nulls=nulls,
        mode="reference only",
        seed=0,
    )


if __name__ == "__main__":
    main()
