"""The command line: `mlhealth --help`."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

import typer

from mlhealth.commands.examples import attach
from mlhealth.errors import MlhealthError

GROUPS = (
    "demo",
    "serve",
    "baseline",
    "estimate",
    "backtest",
    "check",
    "replay",
    "backfill",
    "rules",
    "alert",
    "silence",
    "grafana",
    "prometheus",
    "report",
    "retraining",
    "audit",
    "models",
    "import_",
    "versions",
    "timeline",
    "label",
    "store",
    "deadletter",
    "token",
    "forget",
    "doctor",
)

app = typer.Typer(
    name="mlhealth",
    help="Label-free health monitoring for deployed models: predicted accuracy from the inference log.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for _group in GROUPS:
    if find_spec(f"mlhealth.commands.{_group}") is not None:
        import_module(f"mlhealth.commands.{_group}").register(app)
attach(app)


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except MlhealthError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
