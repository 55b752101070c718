"""Story: someone who has never seen the pages finds out by looking alone why the demo's score fell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

from mlhealth.demo.loan_year import loan_year
from mlhealth.demo.pages import serve
from mlhealth.demo.run import Stage
from mlhealth.demo.story import Verdict
from tests.servers.process import free_port
from tests.servers.story import Story

MODEL = "/models/loan-default/versions/1"


@pytest.fixture
def year(tmp_path: Path) -> Iterator[tuple[Stage, int]]:
    """The demo's year as it was played, its pages served; with the start of a window whose input broke."""
    stage = Stage(loan_year(np.random.default_rng(0)), tmp_path, port=free_port())
    with stage.server:
        serve(stage)
        # In a thread of its own, as in a process of its own: Playwright's loop runs in this one.
        with ThreadPoolExecutor(1) as beside:
            broken = beside.submit(play, stage).result()
        yield stage, broken


def play(stage: Stage) -> int:
    """Play the year; return the start of the last window in which amounts arrived in cents."""
    stage.prepare()
    broken = 0
    for window in stage.windows(threading.Event()):
        if window.chapter.verdict is Verdict.HARM and "cents" in window.chapter.title:
            broken = window.report.key.start
    return broken


@pytest.mark.story
@pytest.mark.timeout(1800)
def test_story_screens(page: Page, year: tuple[Stage, int], story: Story) -> None:
    """From the fleet to the cause, and through every page, without a fault of the console or of accessibility."""
    stage, broken = year
    story.step("the demo's year has been played, its pages are up")
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(stage.address)
    assert "loan-default" in page.locator(".fleet").inner_text()
    page.goto(f"{stage.address}{MODEL}?range=all")
    page.locator(".plot.drawn").first.wait_for()
    story.step("the fleet leads to the model, whose charts are drawn")
    page.goto(f"{stage.address}{MODEL}/windows/{broken}")
    reasons = page.locator(".reasons").first.inner_text()
    assert reasons
    story.say(f"why the score fell: {reasons.splitlines()[0]}")
    page.get_by_role("region", name="Features").get_by_role("link").first.click()
    page.wait_for_url("**/features/*")
    page.locator(".plot.drawn").first.wait_for()
    story.step("the window names the cause, and leads to the feature's history")
    for path in (
        MODEL,
        "/models/loan-default/versions",
        f"{MODEL}/baselines",
        "/alerts",
        "/retraining",
        "/audit",
        "/monitor",
        "/settings",
        "/docs",
    ):
        answer = page.goto(stage.address + path)
        assert answer is not None
        assert answer.status == 200, path
        found = Axe().run(page).response["violations"]
        assert [v["id"] for v in found if v["impact"] in {"serious", "critical"}] == [], path
    page.goto(f"{stage.address}/audit")
    assert "The chain holds" in page.locator("#chain").inner_text()
    story.step("every page opens and axe-core finds nothing serious")
    assert faults == []
    story.step("the console is clean")
