"""The demo tells the truth: a short year and a user's own table through the real code."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from mlhealth.demo import loan_year, loans
from mlhealth.demo.run import Stage, Window
from mlhealth.demo.story import Story, Verdict
from mlhealth.demo.telling import ChapterOutcome, mean_absolute_difference, outcomes

SHORT = (20, 8, 6, 4, 6, 4, 6, 10, 10)
"""Days of each chapter of the year, in a test."""


def short_year() -> Story:
    """Return the year with few days a chapter."""
    plan = tuple(
        (chapter, days, world) for (chapter, _, world), days in zip(loan_year.CHAPTERS, SHORT, strict=True)
    )
    return loan_year.loan_year(np.random.default_rng(0), plan=plan)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, list[Window]]:
    """Play the short year once for all tests."""
    stage = Stage(short_year(), tmp_path_factory.mktemp("demo"))
    with stage.server:
        stage.prepare()
        windows = list(stage.windows(threading.Event()))
    return stage, windows


@pytest.fixture(scope="module")
def chapters(played: tuple[Stage, list[Window]]) -> list[ChapterOutcome]:
    """Return how each chapter went."""
    return outcomes(played[1])


pytestmark = pytest.mark.timeout(900)


def test_every_window_of_the_story_is_reported(played: tuple[Stage, list[Window]]) -> None:
    """Each day becomes one window with all its rows: nothing is lost and nothing doubled."""
    _, windows = played
    assert len(windows) == sum(SHORT)
    assert {w.report.rows for w in windows} == {loan_year.ROWS_PER_DAY}


def test_harmless_drift_raises_no_alarm(chapters: list[ChapterOutcome]) -> None:
    """A campaign moves the age distribution far, costs no accuracy, and pages nobody."""
    campaign = next(c for c in chapters if c.chapter.verdict is Verdict.HARMLESS)
    assert abs(campaign.truth - campaign.reference) < 0.02
    assert any(d.drifted for w in campaign.windows for d in w.report.drift.values())
    assert not campaign.alarmed


def test_each_real_harm_is_paged_soon(chapters: list[ChapterOutcome]) -> None:
    """A unit error, a vanished feature and a moved label mix are truly harmful, and each pages within three days."""
    harmful = [c for c in chapters if c.chapter.verdict is Verdict.HARM]
    assert [c.reference - c.truth > 0.02 for c in harmful] == [True, True, True]
    assert all(c.first_page is not None and c.first_page <= 3 for c in harmful), [
        c.first_page for c in harmful
    ]


def test_calm_pages_nobody(chapters: list[ChapterOutcome]) -> None:
    """Where nothing is wrong, before and between the breaks, nobody is paged."""
    assert not any(c.alarmed for c in chapters if c.chapter.verdict is Verdict.CALM)


def test_estimates_follow_the_truth(played: tuple[Stage, list[Window]]) -> None:
    """Without a label, the estimated accuracy lies within three points of the true one on average."""
    assert mean_absolute_difference(played[1]) < 0.03


def test_retraining_is_refused_for_broken_input_and_heals_the_recession(
    played: tuple[Stage, list[Window]], chapters: list[ChapterOutcome]
) -> None:
    """Only the moved label mix reaches the training service, and the version it makes is healthy again."""
    stage, _ = played
    assert stage.neighbours.requests
    recession_start = next(c for c in chapters if "recession" in c.chapter.title).windows[0].report.key.start
    assert all(int(np.datetime64(r["data_end"].rstrip("Z"), "us").astype(np.int64)) > recession_start
               for r in stage.neighbours.requests)  # fmt: skip
    healed = chapters[-1]
    assert healed.chapter.verdict is Verdict.HEALED
    assert {w.report.key.version for w in healed.windows} == {"2"}
    assert not healed.alarmed


def test_the_broken_column_is_named(chapters: list[ChapterOutcome]) -> None:
    """While the amount arrives in cents, the reasons name the amount."""
    broken = next(c for c in chapters if "cents" in c.chapter.title)
    named = [any("amount" in reason.text for reason in w.report.health.reasons[:2]) for w in broken.windows]
    assert all(named)


def test_a_table_of_the_users_own(tmp_path: Path) -> None:
    """`mlhealth demo --data --target` trains on the first part of a CSV, monitors the rest, and ends with a summary."""
    frame = loans.applications(np.random.default_rng(3), 9_000)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    told = command("demo", "--headless", "--data", str(tmp_path / "mine.csv"), "--target", "defaulted")
    assert told.returncode == 0, told.stderr
    assert "rows as they came" in told.stdout
    assert "mean absolute difference of estimated and true accuracy" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "none.csv", "--target", "y"], "none.csv"),
        (["--data", "small.csv", "--target", "nope"], "nope"),
        (["--data", "small.csv", "--target", "y"], "rows"),
        (["--target", "y"], "--data and --target"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    """A missing file, a wrong column, a table too small and half a pair of options are one line each, exit code 2."""
    (tmp_path / "small.csv").write_text("x,y\n1,0\n2,1\n", encoding="utf-8")
    told = command("demo", "--headless", *arguments, folder=tmp_path)
    assert told.returncode == 2
    assert said in told.stderr
    assert "Traceback" not in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


def test_the_same_seed_tells_the_same_story() -> None:
    """The generated year is a function of its seed."""
    first, second = short_year(), short_year()
    one, two = next(iter(first.slices)), next(iter(second.slices))
    assert one.rows.equals(two.rows)
    assert one.chapter == two.chapter


def command(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `mlhealth` as a user would."""
    code = "from mlhealth.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        timeout=600,
    )
