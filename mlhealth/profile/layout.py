"""The fixed bins of a baseline, chosen once from reference rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlhealth.events.batch import PREDICTION, EventBatch
from mlhealth.profile.bins import Bins, CategoryBins, NumericBins
from mlhealth.profile.window_profile import PREDICTED, SAMPLE_ROWS, ProfileLayout

NUMERIC_BINS = 100
EVEN_BINS = 20
"""Of these, so many are of equal width, so that no gap of the reference hides where a window's values went."""
TOP_CATEGORIES = 200
RARE_CATEGORIES = 10_000
"""Known rare texts kept beside the top ones, so that a rare value is not taken for a new one."""


def layout_of(batch: EventBatch, *, sample_rows: int = SAMPLE_ROWS) -> ProfileLayout:
    """Return the layout fitted to reference rows: a bin or category set for each feature and the prediction."""
    schema = batch.schema
    columns: list[tuple[str, Bins]] = []
    for feature in schema.features:
        if feature.name in schema.numeric:
            columns.append((feature.name, numeric_bins(batch.array(feature.name).astype(np.float64))))
        else:
            columns.append((feature.name, category_bins(batch.table.column(feature.name))))
    predicted: Bins = CategoryBins(schema.classes)
    if not schema.is_classification:
        predicted = numeric_bins(batch.array(PREDICTION).astype(np.float64))
    return ProfileLayout(schema, (*columns, (PREDICTED, predicted)), sample_rows)


def numeric_bins(values: NDArray[np.float64], bins: int = NUMERIC_BINS) -> NumericBins:
    """Return at most `bins` bins from the least to the greatest finite value, shape (n,).

    Up to `bins` distinct values get a bin each, with edges midway; more get quantile bins, where a value that fills
    whole quantiles has a bin of its own, cut further at even distances. Without a finite value there is [0, 0] only.
    """
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return NumericBins((0.0, 0.0))
    distinct = np.unique(finite)
    if len(distinct) == 1:
        return NumericBins((float(distinct[0]), float(distinct[0])))
    if len(distinct) <= bins:
        middle = distinct[:-1] + (distinct[1:] - distinct[:-1]) / 2
        edges = np.concatenate([distinct[:1], middle, distinct[-1:]])
    else:
        edges = _quantile_edges(finite, bins)
    return NumericBins(tuple(float(e) for e in np.unique(edges)))


def _quantile_edges(finite: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    quantiles = np.quantile(finite, np.linspace(0.0, 1.0, max(bins - EVEN_BINS, 1) + 1))
    edges, repeats = np.unique(quantiles, return_counts=True)
    heavy = edges[repeats > 1]
    after = np.nextafter(heavy, np.inf)
    even = np.linspace(edges[0], edges[-1], EVEN_BINS + 1)
    return np.concatenate([edges, after[after <= edges[-1]], even])


def category_bins(values: pa.ChunkedArray) -> CategoryBins:
    """Return the most frequent texts as categories, the next as rare; ties in order of the text."""
    counts = pc.value_counts(pc.drop_null(values.combine_chunks()))
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    texts = [text for text, _ in sorted(pairs, key=lambda pair: (-pair[1], pair[0]))]
    rest = texts[TOP_CATEGORIES : TOP_CATEGORIES + RARE_CATEGORIES]
    return CategoryBins(tuple(texts[:TOP_CATEGORIES]), tuple(rest))
