"""`mlhealth label add` and `suggest`: labels from a file, and which rows are worth one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.labels.suggestion import Suggestion
    from mlhealth.schema.model_schema import ModelSchema
    from mlhealth.store.database import Database

group = typer.Typer(
    name="label", help="Labels: add them late, choose few of them well.", no_args_is_help=True
)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
Model = Annotated[str, typer.Option("--model", help="The model.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file: event ids and labels.")],
    *,
    model: Model,
    version: Annotated[str, typer.Option(help="Its version; default: any, by event id.")] = "",
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Add the labels of a file; the service joins them with the windows of their events within seconds."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.commands.terminal import stderr, warn
    from mlhealth.labels.file import read_label_file
    from mlhealth.store import labels

    _, database = opened(config)
    now = SystemClock().now()
    found = read_label_file(file, _schema(database, model, version), now)
    given = zip(found.labels.keys.tolist(), found.labels.values, found.labels.at.tolist(), strict=True)
    with database.begin() as connection:
        rows = [labels.Label(model, version, key, value, at) for key, value, at in given]
        changed = labels.write(connection, rows, now)
    warn([f"{count} rows are left out: {reason}" for reason, count in found.faults])
    told = f"{len(rows)} labels of {model}, {changed} of them new or changed"
    stderr().print(told + (f"; {found.unfilled} rows have none yet" if found.unfilled else ""))


@group.command("suggest")
def suggest(
    *,
    model: Model,
    window: Annotated[str, typer.Option(help="When the window starts (ISO 8601).")],
    out: Annotated[Path, typer.Option(help="CSV or Parquet file to write, to be filled in.")],
    version: Annotated[str, typer.Option(help="Its version; default the newest.")] = "",
    count: Annotated[int | None, typer.Option(help="How many rows to draw.", min=1)] = None,
    half_width: Annotated[
        float | None, typer.Option(help="Draw as many as give the metric to within this much.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Which metric; default the primary one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw.")] = None,
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Draw rows of a closed window for labelling, the less sure ones more often, and keep the probabilities."""
    from mlhealth.clock import SystemClock, from_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.errors import ConfigError
    from mlhealth.labels.suggestion import Wanted, write
    from mlhealth.labels.suggestion import suggest as draw

    if (count is None) == (half_width is None):
        raise ConfigError("give one of --count N and --half-width W")
    if out.suffix not in {".csv", ".parquet", ".pq"}:
        raise ConfigError(f"{out}: write a .csv or .parquet file")
    _, database = opened(config)
    name = (model, version or _schema(database, model, "").version)
    wanted = Wanted(count, half_width, metric, seed)
    found = draw(database, name, from_iso(window), wanted, SystemClock().now())
    write(found.table, out)
    _tell(found, out, model)


def _tell(found: Suggestion, out: Path, model: str) -> None:
    from mlhealth.commands.terminal import stderr

    console = stderr()
    console.print(f"{out}: {found.table.num_rows} rows to label, drawn from {found.kept:,} kept rows")
    if found.drawn > found.table.num_rows:
        console.print(
            f"{found.drawn - found.table.num_rows} rows more were drawn that have their label already"
        )
    console.print(f"{found.metric} will be known to about ±{found.half_width:.3g} by this draw alone")
    for half, needed in found.needed:
        most = " (all of them)" if needed >= found.kept else ""
        console.print(f"  ±{half:.3g} would take {needed:,} labels{most}")
    console.print(f"fill in the last column, then: mlhealth label add {out} --model {model}")


def _schema(database: Database, model: str, version: str) -> ModelSchema:
    """Return the schema of a model version's newest baseline, of the newest version where none is named."""
    from mlhealth.errors import NotFoundError
    from mlhealth.store import baselines

    with database.read() as connection:
        rows = [
            a
            for a in baselines.activations(connection)
            if a.model == model and (not version or a.version == version)
        ]
        if not rows:
            who = f"model {model}" + (f" version {version}" if version else "")
            raise NotFoundError(f"no baseline speaks for {who}; `mlhealth models list` names all")
        return baselines.load(connection, max(rows, key=lambda a: a.id).baseline).schema
