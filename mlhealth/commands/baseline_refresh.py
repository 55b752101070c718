"""`mlhealth baseline propose`, `compare`, `proposals`, `approve` and `reject`: a refreshed reference, by a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.baseline.record import Baseline
    from mlhealth.store.database import Database
    from mlhealth.versions.baselines import BaselineComparison

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
By = Annotated[str, typer.Option(envvar="USER", help="Who asks for it.")]
Hash = Annotated[str, typer.Argument(metavar="HASH", help="The baseline's hash, or its beginning.")]
_DEFAULT = Path("mlhealth.yaml")


def register(group: typer.Typer) -> None:
    """Add the commands to `mlhealth baseline`."""
    for name, command in (
        ("propose", propose),
        ("compare", compare),
        ("proposals", proposals_command),
        ("approve", approve),
        ("reject", reject),
    ):
        group.command(name)(command)


def propose(
    rows: Annotated[Path, typer.Argument(help="Labelled rows, newer than the reference.")],
    *,
    model: Annotated[str, typer.Option(help="The model.")],
    by: By,
    version: Annotated[str, typer.Option(help="Its version; default the newest with a baseline.")] = "",
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    scorer: Annotated[
        str | None, typer.Option(help="Ask the model: file.py:function, model.onnx or URL.")
    ] = None,
    config: ConfigPath = _DEFAULT,
) -> None:
    """Fit a baseline on newer rows and lay it beside the active one; a person approves it, or not."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import baselines, proposals
    from mlhealth.versions.baselines import compare_baselines

    _, database = opened(config)
    active = _active(database, model, version)
    proposed = _fitted(rows, active, scorer)
    schema, now = active.schema, SystemClock().now()
    with database.read() as connection:
        if schema.timestamp is not None:
            first, last = proposed.reference.first or 0, proposed.reference.last or 0
            proposals.refuse_bad_times(connection, schema.model, schema.version, (first, last))
    comparison = compare_baselines(active, proposed)
    with database.begin() as connection:
        baselines.push(connection, proposed, now)
        proposals.propose(connection, comparison, (by, reason), now)
    _print(comparison)
    typer.echo(f"to let it speak: mlhealth baseline approve {proposed.hash[:12]}")


def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="Hash, or its beginning.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Hash, or its beginning.")],
    config: ConfigPath = _DEFAULT,
) -> None:
    """Lay two stored baselines of a model version side by side."""
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import baselines
    from mlhealth.versions.baselines import compare_baselines

    _, database = opened(config)
    with database.read() as connection:
        pair = [baselines.load(connection, baselines.find(connection, name).hash) for name in (before, after)]
    _print(compare_baselines(*pair))


def proposals_command(config: ConfigPath = _DEFAULT) -> None:
    """List proposed baselines and what was decided."""
    from mlhealth.clock import to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import proposals

    _, database = opened(config)
    with database.read() as connection:
        found = proposals.proposals(connection)
    for p in found:
        decided = f" by {p.decided_by}" if p.decided_by else ""
        typer.echo(
            f"{p.hash[:12]}  {p.model} version {p.version}  {p.state}{decided}  {to_iso(p.at)}  {p.by}  {p.reason}"
        )
    if not found:
        typer.echo("no baseline is proposed")


def approve(name: Hash, by: By, config: ConfigPath = _DEFAULT) -> None:
    """Let a proposed baseline speak for its model version from the next window on."""
    from mlhealth.clock import SystemClock, to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import proposals

    settings, database = opened(config)
    with database.begin() as connection:
        window = settings.model(proposals.get(connection, name).model).window
        row = proposals.approve(connection, name, by, SystemClock().now(), window=window)
    typer.echo(
        f"baseline {row.baseline[:12]} speaks for {row.model} version {row.version} from {to_iso(row.start)} on"
    )


def reject(
    name: Hash, by: By, reason: Annotated[str, typer.Option(help="Why.")], config: ConfigPath = _DEFAULT
) -> None:
    """Refuse a proposed baseline."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import proposals

    _, database = opened(config)
    with database.begin() as connection:
        row = proposals.reject(connection, name, by, reason, SystemClock().now())
    typer.echo(f"baseline {row.hash[:12]} is rejected")


def _active(database: Database, model: str, version: str) -> Baseline:
    from mlhealth.errors import NotFoundError
    from mlhealth.store import baselines, proposals

    with database.read() as connection:
        known = [b for b in baselines.listed(connection) if b.model == model and version in ("", b.version)]
        found = proposals.active_hash(connection, model, known[-1].version) if known else None
        if found is None:
            named = f"{model} version {version}" if version else model
            raise NotFoundError(f"no baseline speaks for {named}: fit and push the first one")
        return baselines.load(connection, found)


def _fitted(rows: Path, active: Baseline, scorer: str | None) -> Baseline:
    from mlhealth.commands.terminal import progress_bar, warn
    from mlhealth.files.tables import read_table
    from mlhealth.fit import fit
    from mlhealth.scorers.opening import open_scorer

    asked = None if scorer is None else open_scorer(scorer, active.schema)
    metrics = (active.primary, *(m for m in active.metrics if m != active.primary))
    with progress_bar("fitting") as told:
        fitted = fit(
            read_table(rows),
            active.schema,
            scorer=asked,
            metrics=metrics,
            seed=active.seed,
            progress=told,
            name=str(rows),
        )
    warn(fitted.notes)
    return fitted


def _print(comparison: BaselineComparison) -> None:
    from rich.console import Console
    from rich.table import Table

    from mlhealth.commands.terminal import number

    table = Table("", comparison.before[:12], comparison.after[:12], "change")
    table.add_row("rows", f"{comparison.rows[0]:,}", f"{comparison.rows[1]:,}", "")
    for m in comparison.metrics:
        change = "" if m.sigmas is None else f"{m.sigmas:+.1f} standard errors"
        table.add_row(m.metric, number(m.before), number(m.after), change)
    found = ["not found" if n is None else f"{n} windows" for n in comparison.found]
    table.add_row("evidence a page is worth", *(f"{limit:.1f}" for limit in comparison.limits), "")
    table.add_row("a loss of the tolerance pages within", *found, "")
    console = Console()
    console.print(table)
    moved = [c for c in comparison.columns if c.drifted]
    for column in moved:
        console.print(
            f"{column.column} lies elsewhere (jensen-shannon {column.distance:.2f})", highlight=False
        )
    if not moved:
        console.print("no column lies elsewhere")
    for warning in comparison.warnings:
        console.print(f"[yellow]warning[/]: {warning}", highlight=False)
