"""The changelog's fragments are such that a release can be told from them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TYPES = {"change", "feature", "enhancement", "bugfix"}
FRAGMENTS = sorted((ROOT / "changelog.d").glob("+*"))


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_fragment_is_one_line_with_its_room(fragment: Path) -> None:
    """A fragment is named +slug.TYPE.md and holds one line: the room, a colon, a sentence."""
    _, kind, suffix = fragment.name.split(".")
    assert kind in TYPES
    assert suffix == "md"
    (line,) = fragment.read_text(encoding="utf-8").splitlines()
    room, _, text = line.partition(": ")
    assert room.isalpha()
    assert text.endswith(".")


def test_next_release_tells_every_fragment() -> None:
    """The draft of the next release has one line for each fragment, with its type in front."""
    draft = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9", "--date", "2030-01-02"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "## 9.9.9 (2030-01-02)" in draft
    for fragment in FRAGMENTS:
        kind = fragment.name.split(".")[1].upper()
        assert f"- [{kind}] {fragment.read_text(encoding='utf-8').strip()}" in draft
