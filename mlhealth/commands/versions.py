"""`mlhealth versions`: champion and challenger compared; promotion, rollback and markers by a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.versions.comparison import Comparison, Difference
    from mlhealth.versions.promotion import Promotion

group = typer.Typer(
    name="versions", help="Versions of a model: compare, promote, roll back, mark.", no_args_is_help=True
)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
Model = Annotated[str, typer.Argument(help="The model.")]
Version = Annotated[str, typer.Argument(help="Its version.")]
Note = Annotated[str, typer.Option(help="Why; it goes to the history and the audit trail.")]
By = Annotated[str, typer.Option(envvar="USER", help="Who does it.")]
_DEFAULT = Path("mlhealth.yaml")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("list")
def list_command(model: Model, config: ConfigPath = _DEFAULT) -> None:
    """List a model's versions: expected, live or retired, which is the champion, and which is deployed."""
    from mlhealth.alerts.mlflow_registry import configured_registry
    from mlhealth.commands.baseline_store import opened
    from mlhealth.queries.versions import versions

    settings, database = opened(config)
    registry = configured_registry(settings.registry)
    deployed = None if registry is None else registry.deployed(model)
    for line in versions(database, model):
        words = [line.version, line.state]
        words += ["champion"] * line.is_champion + ["deployed"] * (line.version == deployed)
        typer.echo("  ".join(words))


@group.command("compare")
def compare(
    model: Model,
    champion: Annotated[str, typer.Argument(help="The version that answers.")],
    challenger: Annotated[str, typer.Argument(help="The version that would.")],
    format_: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    config: ConfigPath = _DEFAULT,
) -> None:
    """Compare two versions on the windows that both answered: estimates, predictions, disagreement."""
    from dataclasses import asdict

    import orjson

    from mlhealth.commands.baseline_store import opened
    from mlhealth.queries.versions import Versus
    from mlhealth.queries.versions import compare as compared

    _, database = opened(config)
    found = compared(database, Versus(model, champion, challenger))
    if format_ == "json":
        typer.echo(orjson.dumps(asdict(found)).decode())
        return
    _show(found)


@group.command("promote")
def promote(model: Model, version: Version, note: Note, by: By, config: ConfigPath = _DEFAULT) -> None:
    """Make a version the champion, at the registry too where one is configured."""
    from mlhealth.versions.promotion import Hand

    typer.echo(_promotion(config).promote(model, version, Hand(by, note)))


@group.command("rollback")
def rollback(model: Model, note: Note, by: By, config: ConfigPath = _DEFAULT) -> None:
    """Make the champion before the present one the champion again."""
    from mlhealth.versions.promotion import Hand

    typer.echo(_promotion(config).roll_back(model, Hand(by, note)))


@group.command("mark")
def mark(
    model: Model,
    version: Version,
    *,
    note: Note,
    by: By,
    kind: Annotated[str, typer.Option(help="deploy or note.")] = "note",
    at: Annotated[
        str | None, typer.Option(help="The moment it speaks of, an ISO time; left out, now.")
    ] = None,
    config: ConfigPath = _DEFAULT,
) -> None:
    """Leave a marker on the model's history: a deployment, or a remark."""
    from mlhealth.clock import SystemClock, from_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.errors import ConfigError
    from mlhealth.store import markers

    if kind not in ("deploy", "note"):
        raise ConfigError(f"--kind {kind}: write deploy or note; promote and rollback are commands")
    now = SystemClock().now()
    _, database = opened(config)
    with database.begin() as connection:
        made = markers.Marker(model, version, kind, now if at is None else from_iso(at), note, by)
        markers.mark(connection, made, now)
    typer.echo(f"{model} {version}: marked")


def _promotion(config: Path) -> Promotion:
    from mlhealth.alerts.mlflow_registry import configured_registry
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.versions.promotion import Promotion

    settings, database = opened(config)
    return Promotion(database, configured_registry(settings.registry), SystemClock())


def _show(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", f"champion {found.champion}", f"challenger {found.challenger}", "difference")
    for name, difference in found.metrics.items():
        table.add_row(name, *_cells(difference))
    console = Console()
    console.print(table)
    console.print(f"{found.verdict} by {found.metric}, over {len(found.windows)} common windows")
    distances = [w.predictions for w in found.windows if w.predictions is not None]
    if distances:
        console.print(f"predictions: mean Jensen-Shannon distance {sum(distances) / len(distances):.3f}")
    apart = found.disagreement
    if apart is not None:
        how = (
            f"{apart.share:.1%} answered differently"
            if apart.share is not None
            else f"{apart.mean:.4g} apart"
        )
        console.print(f"on {apart.pairs} events that both answered: {how}")


def _cells(difference: Difference) -> tuple[str, str, str]:
    known = [f"{v:.4f}" if v is not None else "–" for v in (difference.champion, difference.challenger)]
    if difference.value is None:
        return known[0], known[1], "–"
    between = (
        f" ({difference.lower:+.4f} to {difference.upper:+.4f})"
        if difference.lower is not None and difference.upper is not None
        else ""
    )
    return known[0], known[1], f"{difference.value:+.4f}{between}"
