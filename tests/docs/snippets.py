"""Fenced examples in Markdown, and how they are run.

The line above a fence says `<!-- run -->`, `<!-- run by tests/… -->` or `<!-- not run: why -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).parents[2]
LANGUAGES = ("python", "console", "bash", "sh")
CONFIG = "store: sqlite:///mlhealth.db\n"
_FENCE = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>run|run by [^>]+|not run: [^>]+) -->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w+)[^\n]*\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Snippet:
    """One fenced example of a document. `mark` is `run`, `run by …`, `not run: …` or None where there is none."""

    file: Path
    line: int
    language: str
    mark: str | None
    body: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def page(self) -> str:
        """The document's path in the checkout."""
        return str(self.file.relative_to(ROOT))

    @property
    def reason(self) -> str | None:
        """Why it is not run, None where it is."""
        return (
            self.mark.removeprefix("not run: ") if self.mark and self.mark.startswith("not run: ") else None
        )


def documents() -> list[Path]:
    """Return README.md and every page under docs/."""
    readme = ROOT / "README.md"
    return [*([readme] if readme.exists() else []), *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(file: Path) -> list[Snippet]:
    """Return the examples of a document in languages that can be run, in order."""
    text = file.read_text(encoding="utf-8")
    return [
        Snippet(
            file,
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            found["mark"],
            dedent(found["body"]),
        )
        for found in _FENCE.finditer(text)
        if found["language"] in LANGUAGES
    ]


def run(file: Path, folder: Path) -> int:
    """Run the marked examples of a document in order, in `folder`; return how many there were.

    The folder holds a service's configuration with nothing but a store, as that of a reader who comes to a how-to does.
    Python examples share their names, as in one notebook. Of a console example, the lines that begin with `$` are run.
    """
    names: dict[str, Any] = {"__name__": "document"}
    (folder / "mlhealth.yaml").write_text(CONFIG)
    chosen = [snippet for snippet in snippets(file) if snippet.mark == "run"]
    for snippet in chosen:
        if snippet.language == "python":
            exec(compile(snippet.body, snippet.place, "exec"), names)
        else:
            _shell(snippet, folder)
    return len(chosen)


def commands(snippet: Snippet) -> str:
    """Return what a shell would be given."""
    if snippet.language != "console":
        return snippet.body
    joined = snippet.body.replace("\\\n", " ")
    return "".join(f"{line[2:]}\n" for line in joined.splitlines() if line.startswith("$ "))


def _shell(snippet: Snippet, folder: Path) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "USER": "ana",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(snippet)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{snippet.place}: {done.stdout}{done.stderr}"
