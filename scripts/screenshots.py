"""Make docs/images/*.png: play the demo's year, then look at its pages in real Chromium.

Run by `make screenshots`. Takes a few minutes; needs Chromium.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from mlhealth.demo.loan_year import loan_year
from mlhealth.demo.pages import serve
from mlhealth.demo.run import Stage
from mlhealth.demo.story import Verdict

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@dataclass(frozen=True)
class Picture:
    """A page, by its path, and how it is looked at."""

    name: str
    path: str
    width: int = 1280
    height: int = 900
    scheme: Literal["light", "dark"] = "light"


def main() -> None:
    """Play the year and write the pictures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("screenshots need Chromium: apt-get install chromium")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(loan_year(np.random.default_rng(0)), Path(folder), port=_free_port(), tell=print)
        with stage.server:
            serve(stage)
            broken = _play(stage)
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
                for picture in _pictures(broken):
                    _take(browser, stage.address, picture)


def _play(stage: Stage) -> int:
    """Play the story; return the start of the last window of the first broken chapter."""
    stage.prepare()
    broken = 0
    for window in stage.windows(threading.Event()):
        if window.chapter.verdict is Verdict.HARM and "cents" in window.chapter.title:
            broken = window.report.key.start
    return broken


def _pictures(broken: int) -> list[Picture]:
    model = "/models/loan-default/versions/1"
    return [
        Picture("overview", "/"),
        Picture("model", f"{model}?range=all"),
        Picture("model-dark", f"{model}?range=all", scheme="dark"),
        Picture("model-phone", f"{model}?range=all", width=390, height=844),
        Picture("window", f"{model}/windows/{broken}"),
        Picture("versions", "/models/loan-default/versions?range=all"),
        Picture("alerts-phone", "/alerts", width=390, height=844),
        Picture("feature", f"{model}/features/amount?range=all&window={broken}"),
    ]


def _take(browser: Browser, address: str, picture: Picture) -> None:
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.scheme
    )
    page = context.new_page()
    page.goto(address + picture.path)
    # An open page keeps its stream of news: it is complete once its charts in view are drawn.
    page.wait_for_load_state("load")
    if page.locator(".plot").count():
        page.locator(".plot.drawn").first.wait_for()
        page.wait_for_timeout(1_000)
    page.screenshot(path=IMAGES / f"{picture.name}.png")
    context.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
