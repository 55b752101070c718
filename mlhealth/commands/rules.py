"""`mlhealth rules`: check rules files and run their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(name="rules", help="Check and test alert rules.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("check")
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Rules files; default the shipped rules.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Check receivers and training services against it.")
    ] = None,
) -> None:
    """Read rules as the service would; the first mistake is told with its file, line and key."""
    from mlhealth.alerts.rules import DEFAULT_RULES, Known, load_rules
    from mlhealth.config.service import load

    known = Known()
    if config is not None:
        settings = load(config)
        known = Known(set(settings.receivers), set(settings.training))
        files = files or [Path(rule) for rule in settings.rules]
    rules = load_rules(files or [DEFAULT_RULES], known)
    for rule in rules.rules:
        where = f", retrains by {rule.retrain.service}" if rule.retrain else ""
        told = ", ".join(rule.notify) or "nobody"
        typer.echo(f"{rule.alert} ({rule.severity}): when {rule.when.text}; tells {told}{where}")
    typer.echo(f"{len(rules.rules)} rules are correct")


@group.command("test")
def test(files: Annotated[list[Path], typer.Argument(help="Files of tests.")]) -> None:
    """Run tests of rules: windows are given, alerts are expected. Exit code 1 where one fails."""
    from mlhealth.alerts.rule_tests import run

    failed = 0
    for file in files:
        count, failures = run(file)
        for failure in failures:
            typer.echo(f"{file}: {failure.test}: after window {failure.after}: {failure.message}")
        typer.echo(f"{file}: {count - len({f.test for f in failures})} of {count} tests passed")
        failed += len(failures)
    if failed:
        raise typer.Exit(1)


@group.command("schema")
def schema() -> None:
    """Print the JSON Schema of a rules file, for editors."""
    import json

    from mlhealth.alerts.rules import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
