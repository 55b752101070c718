"""Every `mlhealth` command that a document shows is one that the command line takes, run here or not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from mlhealth.cli import app
from tests.docs.snippets import ROOT, documents

_FENCE = re.compile(r"^[ ]*```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
_SHELL = frozenset({"", "console", "bash", "sh"})
_ENDS = re.compile(r"\s(?:#|2?>|\||&&|<)\s?.*$")
_SETTING = re.compile(r"[A-Z][A-Z_]*=\S* ")
PLACEHOLDER = re.compile(r"…|\.\.\.|\[|\||<|\b[A-Z]{2,}\b")
"""Words of a command told in outline; it is held against the commands' names alone."""


def told(text: str) -> Iterator[str]:
    """Yield the commands of a document: the lines of its examples, and what stands in its sentences."""
    for fence in _FENCE.finditer(text):
        lines = fence["body"] if fence["language"] in _SHELL else ""
        for line in lines.replace("\\\n", " ").splitlines():
            command = line.strip().removeprefix("$ ")
            while setting := _SETTING.match(command):
                command = command[setting.end() :]
            if command.startswith("mlhealth "):
                yield _ENDS.sub("", command)
    spans = _FENCE.sub("", text).split("`")[1::2]
    yield from (" ".join(span.split()) for span in spans if span.startswith("mlhealth "))


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and the rest of them; raises KeyError where there is none."""
    found = typer.main.get_command(app)
    while words and (inner := getattr(found, "commands", None)) is not None:
        name, *words = words
        if "|" in name:
            name = name.partition("|")[0]
        found = inner[name]
    return found, words


SHOWN = [
    (file, line)
    for file in documents()
    if "reference" not in file.parts
    for line in dict.fromkeys(told(file.read_text()))
]


def test_documents_show_commands() -> None:
    """The search finds what is there."""
    assert len(SHOWN) > 100


@pytest.mark.parametrize(
    ("file", "line"), SHOWN, ids=lambda part: part.stem if isinstance(part, Path) else part[:60]
)
def test_the_command_line_takes_it(file: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command exists, and where it is written out in full takes these options and arguments."""
    monkeypatch.setenv("USER", "ana")
    monkeypatch.setenv("GRAFANA_TOKEN", "glsa_x")
    words = shlex.split(line, comments=True)[1:]
    if words[0].startswith("-"):
        return
    try:
        command, rest = command_of(words)
    except KeyError as error:
        pytest.fail(f"{file.relative_to(ROOT)}: `{line}`: there is no {error}")
    options = {
        name
        for parameter in getattr(command, "params", ())
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    asked = {word.partition("=")[0] for word in rest if word.startswith("--") and word != "--"}
    assert asked <= options | {"--help"}, f"{file.relative_to(ROOT)}: `{line}`"
    is_whole = not PLACEHOLDER.search(line) and f"`{line}`" not in file.read_text()
    if is_whole and not getattr(command, "commands", None):
        with command.make_context(words[0], list(rest)):
            pass
