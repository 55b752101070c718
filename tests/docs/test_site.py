"""The documents build as a site, and what is generated from the code agrees with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.docs_navigation import navigation
from scripts.docs_reference import FOLDER, pages

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The generated pages, as the code would write them now."""
    return pages()


def test_reference_is_current(made: dict[str, str]) -> None:
    """The pages in the repository are what the code says now (`python -m scripts.docs_reference` writes them)."""
    stale = [name for name, text in made.items() if (FOLDER / name).read_text(encoding="utf-8") != text]
    assert not stale


def test_every_command_and_metric_is_in_the_reference(made: dict[str, str]) -> None:
    """The generated pages name the commands and metrics that people rely on."""
    assert {"## mlhealth estimate", "## mlhealth baseline fit", "## mlhealth serve"} <= set(
        made["cli.md"].splitlines()
    )
    assert "`mlhealth_records_total`" in made["metrics.md"]
    assert "## GET /healthz" in made["http.md"]
    assert "| `window` | duration | `1h` |" in made["configuration.md"]
    assert "mh.fit(reference: Frame" in made["python.md"]


def test_every_page_is_in_the_navigation_once() -> None:
    """No page is hidden from the site, and none is listed twice."""
    listed = [page for chapter in navigation(ROOT / "docs") for found in chapter.values() for page in found]
    there = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(there)


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    """`mkdocs build --strict` finds no broken link or anchor, and the site fetches nothing from elsewhere."""
    command = [
        str(Path(sys.executable).parent / "mkdocs"),
        "build",
        "--strict",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False, timeout=150
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    start = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "fonts.googleapis" not in start
    assert "cdn" not in start
