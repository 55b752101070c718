"""Every example that a document marks as runnable runs, as a reader would run it: in order, in an empty folder."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.docs.snippets import ROOT, Snippet, commands, documents, run, snippets

RUNNABLE = [file for file in documents() if any(snippet.mark == "run" for snippet in snippets(file))]
UNVERIFIED = ROOT / "docs" / "operations" / "unverified.md"
ALL = [snippet for file in documents() for snippet in snippets(file)]
_FENCE = re.compile(r"^[ ]*```(?P<language>\w*)", re.MULTILINE)
_TEST = re.compile(r"tests/[\w/]+(?:\.py)?")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", RUNNABLE, ids=lambda file: str(file.relative_to(ROOT)))
def test_examples_run(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of this document end without an error or a warning."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as an interpreter started there has it
    before = set(sys.modules)
    assert run(file, tmp_path) > 0
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def test_every_example_says_whether_it_is_run() -> None:
    """In no document is an example left out in silence: each is run, is run by a test of its own, or says why not."""
    assert len(ALL) > 50
    assert not [snippet.place for snippet in ALL if snippet.mark is None]


@pytest.mark.parametrize("file", documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_fence_names_its_language(file: Path) -> None:
    """A fence without a language could hide a command from these tests; what a command prints is `text`."""
    opened = _FENCE.findall(file.read_text(encoding="utf-8"))[::2]
    assert "" not in opened


def test_what_is_not_run_is_listed_for_the_reader() -> None:
    """The page about what was not run names each such example with its reason, and nothing besides."""
    _, _, listed = UNVERIFIED.read_text(encoding="utf-8").partition("## Examples")
    rows = {
        tuple(part.strip() for part in line.split("|")[1:3]) for line in listed.splitlines() if "|" in line
    }
    said = {(f"`{snippet.page}`", snippet.reason) for snippet in ALL if snippet.reason}
    assert rows - {("page", "why"), ("---", "---")} == said


def test_tests_that_marks_name_are_there() -> None:
    """Where a mark says that some test runs an example, there is such a test."""
    named = {name for snippet in ALL for name in _TEST.findall(snippet.mark or "")}
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]
    assert not [snippet.place for snippet in ALL if snippet.mark == "run by "]


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
