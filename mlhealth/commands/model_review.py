"""`mlhealth models review`: how estimates compared with labels, and whether to recalibrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mlhealth.labels.track_record import TrackRecord

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]


def review(
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[str | None, typer.Option(help="Only this version.")] = None,
    windows: Annotated[int, typer.Option(help="The newest windows that have labels.", min=1)] = 100,
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Compare estimates with the labels that came, and say what to do where they were off; nothing is changed."""
    from rich.console import Console

    from mlhealth.commands.baseline_store import opened
    from mlhealth.errors import NotFoundError
    from mlhealth.queries.reports import Queries

    _, database = opened(config)
    queries = Queries(database)
    names = [v.version for v in queries.versions(model) if version in {None, v.version}]
    if not names:
        raise NotFoundError(f"model {model!r} is not known; `mlhealth models list` names all")
    console = Console(highlight=False, soft_wrap=True)
    for name in names:
        _tell(console, f"{model} version {name}", queries.labels.record(model, name, windows=windows).metrics)


def _tell(console: Console, title: str, records: tuple[TrackRecord, ...]) -> None:
    from rich.table import Table

    from mlhealth.commands.terminal import number
    from mlhealth.labels.track_record import FEWEST

    if not records:
        console.print(f"{title}: no window has labels yet, so nothing can be said of its estimates")
        return
    table = Table(
        "metric", "windows", "error", "bias", "± interval", "held", title=title, title_justify="left"
    )
    for r in records:
        held = f"{r.coverage:.0%} of {r.level:.0%}"
        table.add_row(r.metric, str(r.windows), number(r.error), number(r.bias), number(r.half_width), held)
    console.print(table)
    advised: dict[str, list[str]] = {}
    for record in records:
        for sentence in record.advice:
            advised.setdefault(sentence, []).append(record.metric)
    for sentence, metrics in sorted(advised.items(), key=lambda found: len(found[1])):
        whose = "" if len(metrics) in {1, len(records)} else f"{', '.join(metrics)}: "
        console.print(f"{whose}{sentence}", markup=False)
    if records[0].windows < FEWEST:
        console.print(
            f"{records[0].windows} windows have labels; from {FEWEST} on the estimates are judged by them"
        )
    elif not advised:
        console.print("the estimates have held: nothing to do")
