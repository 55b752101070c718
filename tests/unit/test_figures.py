"""The figures: what they draw, and that they never draw what is not known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from mlhealth.clock import HOUR
from mlhealth.dashboards import figures
from mlhealth.dashboards.theme import DARK, LIGHT, dark_colours
from mlhealth.dashboards.wording import headline, higher_is_better
from mlhealth.estimators.metric_names import _CLASS_METRICS, _REGRESSION_METRICS
from mlhealth.profile.bins import CategoryBins, NumericBins
from mlhealth.queries.reports import ReportLine
from mlhealth.records import Alert, AlertState, RetrainingRequest, RetrainingStatus
from mlhealth.store.markers import Marker
from mlhealth.versions.comparison import SAME, Comparison, Difference, Disagreement, WindowComparison
from tests.report_builder import START, Story, report, reports

STORY = Story()


def trace(figure: go.Figure, name: str) -> go.Scatter:
    """Return the figure's trace of that name."""
    return next(t for t in figure.data if t.name == name)


def texts(figure: go.Figure) -> str:
    """Return everything written on a figure."""
    return " ".join(annotation.text for annotation in figure.layout.annotations)


def test_estimate_shows_value_interval_reference_tolerance_and_truth() -> None:
    """All five parts of an estimate are drawn, the tolerance where the loss begins to count."""
    figure = figures.estimate_figure(reports(), "accuracy")
    names = {t.name for t in figure.data}
    assert {
        "estimated accuracy",
        "90 % interval",
        "reference",
        "tolerance",
        "true accuracy",
        "unknown",
    } <= names
    assert set(trace(figure, "tolerance").y) == {0.882 - 0.05}


def test_estimate_line_breaks_where_there_is_no_window_or_no_value() -> None:
    """A gap in time and an unknown value both leave a hole in the line."""
    line = trace(figures.estimate_figure(reports(), "accuracy"), "estimated accuracy")
    assert list(line.y).count(None) == len(STORY.unknown) + 1


def test_tolerance_of_an_error_is_a_share_of_its_reference() -> None:
    """For a loss, the limit lies above the reference by the tolerance times the reference."""
    story = replace(STORY, metric="mae")
    line = trace(figures.estimate_figure(reports(story), "mae"), "tolerance")
    assert list(line.y) == pytest.approx([0.882 * 1.05] * len(line.y))


def test_estimate_says_unknown_when_nothing_is_known() -> None:
    """Without any value the chart is words, not an empty frame."""
    story = replace(STORY, unknown=range(48))
    figure = figures.estimate_figure(reports(story), "accuracy")
    assert "unknown" in texts(figure)
    assert not figure.data


def test_health_markers_differ_by_shape_not_only_colour() -> None:
    """Critical and healthy windows can be told without colour, and the parts are drawn below."""
    figure = figures.health_figure(reports())
    assert trace(figure, "healthy").marker.symbol != trace(figure, "critical").marker.symbol
    assert trace(figure, "P(drop)").yaxis == "y2"


def test_drift_map_puts_the_most_drifted_feature_on_top_and_marks_unknown_cells() -> None:
    """Order follows harm, gaps stay empty, and unknown cells carry a mark of their own."""
    figure = figures.drift_figure(reports())
    heatmap, unknown = figure.data
    assert heatmap.y[0] == "income"
    assert np.nanmax(heatmap.z[0]) == 3.0
    assert len(heatmap.x) == len(heatmap.z[0]) + 1
    assert len(unknown.x) == len(STORY.unknown) * len(STORY.features)


def test_drift_map_keeps_the_top_features_only() -> None:
    """Hundreds of features are cut to those that moved most."""
    story = replace(STORY, features=(*(f"f{n}" for n in range(200)), "income"))
    heatmap = figures.drift_figure(reports(story), top=10).data[0]
    assert len(heatmap.y) == 10
    assert "income" in heatmap.y


def test_numeric_distribution_has_equal_bars_and_a_place_for_what_is_outside() -> None:
    """A histogram over quantile bins is re-binned by value, and keeps every row of both sides."""
    rng = np.random.default_rng(1)
    values = rng.lognormal(10, 0.5, 5_000)
    bins = NumericBins(tuple(np.quantile(values, np.linspace(0, 1, 101))))
    counts = figures.FeatureCounts(
        "income", bins, bins.count(values), bins.count(np.r_[values * 100, np.nan])
    )
    window, baseline = figures.distribution_figure(counts).data
    assert sum(window.y) == pytest.approx(1.0)
    assert sum(baseline.y) == pytest.approx(1.0)
    labels = list(window.customdata)
    assert labels[-1] == "missing"
    assert window.y[labels.index(next(label for label in labels if label.startswith("above")))] > 0.99
    assert len(labels) < 30


def test_categorical_distribution_folds_rare_categories_and_shows_unseen_ones() -> None:
    """Forty categories become twelve, an `other` bar and the unseen."""
    bins = CategoryBins(tuple(f"c{n}" for n in range(40)))
    baseline = np.r_[np.arange(40, 0, -1), 0, 0, 0]
    window = np.r_[np.zeros(40, dtype=np.int64), 0, 9, 0]
    bars = figures.distribution_figure(figures.FeatureCounts("purpose", bins, baseline, window)).data[0]
    assert list(bars.customdata)[-2:] == ["other", "unseen"]
    assert len(bars.customdata) == 14
    assert bars.y[-1] == 1.0


def test_empty_window_says_so() -> None:
    """A window without rows has no distribution."""
    bins = CategoryBins(("a",))
    empty = figures.FeatureCounts("x", bins, np.array([1, 0, 0, 0]), np.zeros(4, dtype=np.int64))
    assert "No rows" in texts(figures.distribution_figure(empty))


def test_confusion_is_drawn_by_true_and_predicted_class() -> None:
    """Each cell shows its share; without estimates the chart says unknown."""
    known = figures.confusion_figure(report(STORY, 30), ("0", "1"))
    assert known.data[0].text[0][0].endswith("%")
    assert "unknown" in texts(figures.confusion_figure(report(STORY, 40), ("0", "1")))


def test_timeline_draws_a_firing_alert_up_to_now() -> None:
    """A resolved alert ends where it resolved; a firing one reaches the end of the chart."""
    until = START + 48 * HOUR
    done = alert("A", AlertState.RESOLVED, since=START + 5 * HOUR)
    open_ = alert("B", AlertState.FIRING, since=START + 9 * HOUR)
    figure = figures.timeline_figure([done, open_], [request()], until=until)
    ends = {t.y[0]: t.x[-1] for t in figure.data}
    assert ends["B"] > ends["A"]
    assert "retraining" in ends


def test_timeline_draws_deployments() -> None:
    """What people did to versions has a row of its own, each kind with a shape of its own."""
    marks = [
        Marker("m", "2", kind, START, "<b>canary</b>", "ana") for kind in ("deploy", "promote", "rollback")
    ]
    figure = figures.timeline_figure([], [], until=START + HOUR, markers=marks)
    (shown,) = (t for t in figure.data if t.y and t.y[0] == "deployments")
    assert len(set(shown.marker.symbol)) == 3
    assert "&lt;b&gt;canary" in shown.customdata[0]


def test_segments_are_drawn_worst_first_and_the_unknown_says_so() -> None:
    """Each segment has a line with its estimate, interval and reference; one without an estimate is named unknown."""
    parts = [(30, "region=south"), (3, "region=north"), (40, "region=east")]
    told = [replace(r, key=replace(r.key, segment=name)) for n, name in parts for r in [report(STORY, n)]]
    figure = figures.segments_figure(told, "accuracy")
    assert list(figure.layout.yaxis.ticktext) == ["region=south", "region=north", "region=east: unknown"]
    estimates = trace(figure, "estimated accuracy")
    assert list(estimates.y) == [0, 1]
    assert all(width > 0 for width in estimates.error_x.array)
    assert list(trace(figure, "reference").y) == [0, 1, 2]
    assert "unknown" in texts(figures.segments_figure([told[2]], "accuracy"))


def line(n: int, value: float | None) -> ReportLine:
    """Return a window of a version in short."""
    start = START + n * HOUR
    return ReportLine(start, start + HOUR, 0, 10, "healthy", 97.0, "accuracy", value, 0.8, 0.9, 0.88)


def test_versions_are_drawn_side_by_side() -> None:
    """Each version has a line with its interval, broken where windows lie far apart; none known is told in words."""
    figure = figures.versions_figure(
        {"3": [line(n, 0.85) for n in (0, 1, 2, 40)], "4": [line(0, 0.87)]}, "accuracy"
    )
    assert [t.name for t in figure.data] == ["version 3", "version 4"]
    assert list(figure.data[0].y) == [0.85, 0.85, 0.85, None, 0.85]
    assert "unknown" in texts(figures.versions_figure({"3": [line(0, None)]}, "accuracy"))


def test_differences_are_coloured_only_where_the_interval_leaves_zero_out() -> None:
    """Better and worse windows have their colours, one that cannot be told is grey, an unknown one is left out."""
    ends = [(0.02, 0.01, 0.03), (-0.02, -0.03, -0.01), (0.01, -0.01, 0.03), (None, None, None)]
    told = [Difference("accuracy", 0.8, 0.8, *values) for values in ends]
    windows = tuple(
        WindowComparison(START + n * HOUR, START + (n + 1) * HOUR, (10, 10), {"accuracy": d})
        for n, d in enumerate(told)
    )
    found = Comparison("m", "3", "4", "accuracy", SAME, windows)
    figure = figures.difference_figure(found)
    shown = trace(figure, "challenger − champion")
    assert list(shown.marker.color) == [LIGHT.healthy, LIGHT.critical, LIGHT.unknown]
    assert list(shown.y) == pytest.approx([2.0, -2.0, 1.0])
    assert "unknown" in texts(figures.difference_figure(replace(found, windows=windows[3:])))
    assert "Unknown" in texts(figures.disagreement_figure(found))


def test_disagreement_is_drawn_where_samples_were_kept() -> None:
    """The share of events answered differently, and the distance of all answers."""
    apart = WindowComparison(START, START + HOUR, (10, 10), {}, 0.1, 0.02, Disagreement(10, share=0.3))
    figure = figures.disagreement_figure(Comparison("m", "3", "4", "accuracy", SAME, (apart,)))
    assert {t.name: list(t.y) for t in figure.data} == {
        "same event, another answer": [0.3],
        "distance of all answers": [0.1],
    }


def alert(rule: str, state: AlertState, *, since: int) -> Alert:
    """Return an alert that fired at the story's start."""
    return Alert(rule, "m", "1", "", state, "page", since, START, {}, {}, rule)


def request() -> RetrainingRequest:
    """Return a retraining request that succeeded."""
    status = RetrainingStatus.SUCCEEDED
    return RetrainingRequest("r", "m", "1", "A", "fell", "gpu", START, START + HOUR, {}, status, START + HOUR)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_figures_of_no_windows_are_words(theme: figures.Theme) -> None:
    """Every chart of time takes an empty list."""
    for figure in (
        figures.estimate_figure([], "accuracy", theme=theme),
        figures.health_figure([], theme=theme),
        figures.drift_figure([], theme=theme),
        figures.timeline_figure([], [], until=START, theme=theme),
    ):
        assert texts(figure)


def test_light_figures_become_dark_by_replacing_colours() -> None:
    """The page repaints by text replacement: light colours are distinct, and the result is the dark figure."""
    swap = dark_colours()
    assert len(swap) == len(vars(LIGHT))
    light, dark = (figures.drift_figure(reports(), theme=theme).to_json() for theme in (LIGHT, DARK))
    for old, new in swap.items():
        light = light.replace(json.dumps(old), json.dumps(new))
    assert json.loads(light) == json.loads(dark)


def test_names_that_look_like_markup_are_shown_as_text() -> None:
    """A feature called <b> is written, not obeyed."""
    story = replace(STORY, features=("<b>bold</b>",))
    assert "<b>bold" not in str(figures.drift_figure(reports(story)).layout.yaxis.ticktext)


def test_directions_agree_with_the_estimators() -> None:
    """The charts and the estimators agree on which way each metric is better."""
    for metric in _CLASS_METRICS + _REGRESSION_METRICS:
        assert higher_is_better(metric.name) == metric.higher_is_better


def test_headline_is_one_sentence_with_value_interval_and_reference() -> None:
    """The first sentence of a model's page says how it does, against what, and how sure that is."""
    assert headline(report(STORY, 30)).startswith("Estimated accuracy is 7")
    assert "cannot be told" in headline(report(STORY, 40))
    assert headline(None) == "No window has been judged yet."
