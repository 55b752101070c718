"""The example under every command's help is one that the command takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from mlhealth.cli import app
from mlhealth.commands.examples import EXAMPLES


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of each command that does something."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, found in inner.items():
        if not found.hidden:
            yield from commands(found, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


def test_every_command_has_one() -> None:
    """No command without an example, no example without a command."""
    assert set(ALL) == set(EXAMPLES)


def test_other_names_of_commands_are_hidden_but_there() -> None:
    """`mlhealth db upgrade` is `mlhealth store upgrade`; the help does not show it twice."""
    root: Any = typer.main.get_command(app)
    names = root.commands
    assert names["db"].hidden
    assert names["db"].commands.keys() == names["store"].commands.keys()
    assert not names["store"].hidden


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_command_takes_its_example(name: str) -> None:
    """Options and arguments of the example are the command's own, and its help shows it."""
    words = shlex.split(EXAMPLES[name].partition(" > ")[0])
    assert words[: 1 + len(name.split())] == ["mlhealth", *name.split()]
    with ALL[name].make_context(name, words[1 + len(name.split()) :]):
        assert EXAMPLES[name] in ALL[name].epilog
