"""`mlhealth doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.doctor.findings import Finding

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("doctor")(doctor)


def doctor(
    config: ConfigPath = Path("mlhealth.yaml"),
    json: Annotated[bool, typer.Option("--json", help="One JSON object per finding on a line.")] = False,
) -> None:
    """Look at broker, topics, rights, store, schema, clocks, lag, disk, models and receivers.

    Nothing is changed. Exit code 1 where anything is wrong now, 0 where all is well or only warned of.
    """
    import logging

    from mlhealth.clock import SystemClock
    from mlhealth.config.service import load
    from mlhealth.doctor.examination import examine
    from mlhealth.doctor.findings import Severity

    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    findings = examine(load(config), SystemClock())
    if json:
        _as_json(findings)
    else:
        _as_lines(findings)
    if any(finding.severity is Severity.FAULT for finding in findings):
        raise typer.Exit(1)


def _as_json(findings: Sequence[Finding]) -> None:
    from dataclasses import asdict

    import orjson

    for finding in findings:
        typer.echo(orjson.dumps(asdict(finding)).decode())


def _as_lines(findings: Sequence[Finding]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    styles = {"ok": "green", "warning": "yellow", "fault": "bold red"}
    for finding in findings:
        console.print(f"[{styles[finding.severity]}]{finding.severity:<7}[/] ", end="")
        console.print(finding.line, markup=False)
