"""The review of a period: whole in one file, and right."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from mlhealth.clock import HOUR
from mlhealth.dashboards.report import Review, review, to_html, to_markdown, truth
from mlhealth.errors import NotFoundError
from mlhealth.queries.reports import Period
from tests.report_builder import START, reports
from tests.store_builder import NOW, FilledStore


@pytest.fixture
def told(tmp_path: Path) -> Review:
    """The review of a model whose input broke."""
    store = FilledStore(tmp_path)
    store.add_loans()
    return review(store.queries, "loan-default", "3", Period(), now=NOW)


def test_the_file_needs_nothing_else(page: Page, tmp_path: Path, told: Review) -> None:
    """Opened from disk, without a network, it draws its figures and tells the story."""
    path = tmp_path / "review.html"
    path.write_text(to_html(told), encoding="utf-8")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.main-svg').length >= 4")
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    words = page.locator("main").inner_text()
    assert "income arrives 100× too large" in words
    assert "PredictedAccuracyDrop" in words
    assert "cannot be seen without labels" in words


def test_truth_counts_what_lay_inside_the_interval() -> None:
    """Coverage and error are those of the windows whose labels came."""
    found = truth(reports(), "accuracy")
    assert found is not None
    known = [r for r in reports() if "accuracy" in r.realized]
    assert (found.windows, found.inside) == (len(known), len(known))
    assert 0 < found.error < 0.006
    assert truth(reports(), "f1") is None


def test_markdown_tells_the_same_in_words(told: Review) -> None:
    """The Markdown has the numbers, the alerts and the limits."""
    text = to_markdown(told)
    assert text.startswith("# loan-default 3: 2026-03-01")
    assert "| 46 |" in text
    assert "- FeatureVanished (page)" in text
    assert "Succeeded, recovered." in text


def test_a_period_without_windows_is_an_error(tmp_path: Path) -> None:
    """The message names the model and what to try."""
    store = FilledStore(tmp_path)
    store.add_loans()
    with pytest.raises(NotFoundError, match="--from"):
        review(store.queries, "loan-default", "3", Period(START + 900 * HOUR), now=NOW)
