"""`mlhealth demo`: the whole loop on one machine, on a generated year or on a table of the user's own."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.demo.run import Stage, Window
    from mlhealth.demo.story import Story


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("demo")(demo)


def demo(
    *,
    data: Annotated[Path | None, typer.Option(help="A CSV or Parquet table of your own.")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict; needed with --data.")] = None,
    time: Annotated[
        str | None, typer.Option(help="The column to order the rows by; default their order.")
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="Tell the story in the terminal only, and end.")
    ] = False,
    port: Annotated[int, typer.Option(help="Where the pages answer, on loopback.")] = 8080,
    folder: Annotated[Path | None, typer.Option(help="Where to work; default a temporary folder.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 0,
) -> None:
    """Show what mlhealth is for: train a model, stream a year through the real code, break things, and watch.

    For example:

        mlhealth demo

        mlhealth demo --data loans.csv --target defaulted --time applied_at
    """
    from mlhealth.errors import ConfigError

    if (data is None) != (target is None):
        raise ConfigError("--data and --target go together: which table, and which of its columns to predict")
    story = _story(data, target, time, seed)
    with tempfile.TemporaryDirectory(prefix="mlhealth-demo-") as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        _play(story, place, port=0 if headless else port, seed=seed, headless=headless)


def _story(data: Path | None, target: str | None, time: str | None, seed: int) -> Story:
    import numpy as np

    from mlhealth.demo.loan_year import loan_year
    from mlhealth.demo.own_table import own_table

    rng = np.random.default_rng(seed)
    return loan_year(rng) if data is None or target is None else own_table(data, target, time, rng)


def _play(story: Story, folder: Path, *, port: int, seed: int, headless: bool) -> None:
    from mlhealth.commands.terminal import stderr
    from mlhealth.demo.run import Stage
    from mlhealth.demo.telling import summary

    console = stderr()
    for note in story.notes:
        console.print(note, markup=False)
    stage = Stage(story, folder, port, seed, tell=lambda text: console.print(text, markup=False))
    stop = threading.Event()
    with stage.server:
        pages = None if headless else _serve(stage)
        windows = _watch(stage, stop)
        if windows:
            from rich.console import Console

            summary(windows, Console())
        if pages is not None:
            console.print(f"the pages stay open at {stage.address}; Ctrl-C ends the demo")
            pages.join()


def _watch(stage: Stage, stop: threading.Event) -> list[Window]:
    """Stream the story under a progress bar; tell of each page as it leaves."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mlhealth.commands.terminal import stderr

    console = stderr()
    stage.prepare()
    windows: list[Window] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("windows", total=stage.story.count)
        for window in stage.windows(stop):
            windows.append(window)
            bar.update(task, advance=1, description=window.chapter.title[:40])
            for page in window.pages:
                console.print(
                    f"  {page.status:8} {page.moment[:10]}  {page.rule}: {page.summary}", markup=False
                )
    return windows


def _serve(stage: Stage) -> threading.Thread:
    from mlhealth.demo.pages import serve

    return serve(stage)
