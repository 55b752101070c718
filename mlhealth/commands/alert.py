"""`mlhealth alert`: alerts as they stand, what people say of pages, and what that suggests."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(
    name="alert", help="Alerts: list them, take them, say whether a page was worth it.", no_args_is_help=True
)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
By = Annotated[str, typer.Option(envvar="USER", help="Who says so.")]
_DEFAULT = Path("mlhealth.yaml")


class Said(StrEnum):
    """What can be said of a page."""

    USEFUL = "useful"
    NOT_HARM = "not-harm"
    KNOWN = "known"
    WRONG_CAUSE = "wrong-cause"


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("list")
def list_command(
    model: Annotated[str | None, typer.Option(help="Only alerts of this model.")] = None,
    config: ConfigPath = _DEFAULT,
) -> None:
    """List alerts as they stand, firing ones first, with the name by which feedback is given."""
    from mlhealth.clock import to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.queries.alerts import AlertQueries, Of

    _, database = opened(config)
    found = AlertQueries(database).current(Of(model))
    for line in found:
        alert = line.alert
        where = f"{alert.model} version {alert.version}" + (f" {alert.segment}" if alert.segment else "")
        typer.echo(
            f"{alert.fingerprint}  {alert.state:<8}  {alert.severity:<8}  {to_iso(alert.since)}  {alert.rule}  {where}"
        )
    if not found:
        typer.echo("no alert has fired")


@group.command("acknowledge")
def acknowledge(
    fingerprint: Annotated[str, typer.Argument(help="As `mlhealth alert list` shows it.")],
    by: By,
    note: Annotated[str, typer.Option(help="What you are doing about it.")] = "",
    config: ConfigPath = _DEFAULT,
) -> None:
    """Take a firing alert into your hands: reminders stop, and whoever was told of it is told that."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import acknowledge as store

    _, database = opened(config)
    with database.begin() as connection:
        store.acknowledge(connection, fingerprint, by, note, SystemClock().now())
    typer.echo(f"{by} has taken {fingerprint}")


@group.command("feedback")
def feedback(
    fingerprint: Annotated[str, typer.Argument(help="As `mlhealth alert list` shows it.")],
    verdict: Annotated[Said, typer.Argument(help="Whether the page was worth it, or why not.")],
    by: By,
    note: Annotated[str, typer.Option(help="What would have been right?")] = "",
    config: ConfigPath = _DEFAULT,
) -> None:
    """Say what the last page of an alert was worth. It is counted; no threshold moves by it."""
    from mlhealth.clock import SystemClock, to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.feedback import Verdict
    from mlhealth.store import feedback as store

    _, database = opened(config)
    with database.begin() as connection:
        said = Verdict(verdict.replace("-", " "))
        page = store.judge(connection, fingerprint, said, (by, note), SystemClock().now())
        found, suggested = store.trust(connection, page.model)
    typer.echo(f"{page.rule} of {page.model}, {to_iso(page.fired_at)}: {said}")
    share = "" if found.share is None else f", {found.share:.0%} of those judged were useful"
    typer.echo(f"{found.pages} pages, {found.judged} judged{share}")
    if suggested:
        typer.echo(f"there are suggestions: mlhealth alert suggest --model {page.model}")


@group.command("precision")
def precision_command(config: ConfigPath = _DEFAULT) -> None:
    """Show, by model, how many pages there were and how many of those judged were useful."""
    from rich.console import Console
    from rich.table import Table

    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import feedback as store

    _, database = opened(config)
    table = Table("model", "pages", "judged", "useful", "precision", "useless because")
    with database.read() as connection:
        for model in store.models_with_pages(connection):
            found, _ = store.trust(connection, model)
            share = "–" if found.share is None else f"{found.share:.0%}"
            why = ", ".join(f"{count} {verdict}" for verdict, count in found.useless.items())
            table.add_row(model, str(found.pages), str(found.judged), str(found.useful), share, why)
    Console().print(table)


@group.command("suggest")
def suggest(
    model: Annotated[str, typer.Option(help="The model.")],
    config: ConfigPath = _DEFAULT,
) -> None:
    """Print what would have spared a model's useless pages: a rule, a tolerance, a baseline. Nothing is changed."""
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import feedback as store

    settings, database = opened(config)
    with database.read() as connection:
        found, suggested = store.trust(connection, model, settings.model(model).tolerance)
    share = (
        "none judged" if found.share is None else f"{found.share:.0%} of {found.judged} judged were useful"
    )
    typer.echo(f"# {model}: {found.pages} pages, {share}")
    for suggestion in suggested:
        typer.echo(f"# {suggestion.why}\n{suggestion.change}")
    if not suggested:
        typer.echo("# nothing to suggest")
