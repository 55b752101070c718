"""Every example that a document marks as runnable runs, as a reader would run it: in order, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.snippets import ROOT, Snippet, commands, documents, run, snippets

RUNNABLE = [file for file in documents() if any(snippet.mark == "run" for snippet in snippets(file))]
MARKED_FOLDERS = ("tutorials", "how-to", "concepts")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", RUNNABLE, ids=lambda file: str(file.relative_to(ROOT)))
def test_examples_run(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of this document end without an error or a warning."""
    monkeypatch.chdir(tmp_path)
    assert run(file, tmp_path) > 0


@pytest.mark.parametrize("folder", MARKED_FOLDERS)
def test_every_example_says_whether_it_is_run(folder: str) -> None:
    """In tutorials, how-tos and concepts no example is left out in silence: each is run, or says why not."""
    found = [s for file in documents() if file.parent.name == folder for s in snippets(file)]
    assert not [snippet.place for snippet in found if snippet.mark is None]


def test_the_first_estimate_is_ten_lines() -> None:
    """A newcomer with a frame and a model needs at most ten lines of Python for an estimate."""
    (first,) = [
        snippet
        for snippet in snippets(ROOT / "docs" / "tutorials" / "first-estimate.md")
        if "import mlhealth" in snippet.body
    ]
    assert len(first.body.strip().splitlines()) <= 10
    assert "estimate(" in first.body


def test_console_examples_are_their_commands_alone() -> None:
    """Of a console example, prompts are cut off, continued lines joined and output left out."""
    body = "$ mlhealth estimate a.csv \\\n    --baseline b\n some output\n$ true\n"
    snippet = Snippet(ROOT / "README.md", 1, "console", "run", body)
    assert commands(snippet).splitlines() == ["mlhealth estimate a.csv      --baseline b", "true"]
