"""The command line: `mlhealth --help`."""

from __future__ import annotations

import re
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
    except ModuleNotFoundError as error:
        extra = _extra_of(error.name or "")
        if extra is None:
            raise
        print(f"error: this needs {error.name}: pip install 'mlhealth[{extra}]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)


def _extra_of(module: str) -> str | None:
    """Return the extra that brings a package, None where none does."""
    from importlib.metadata import requires

    wanted = module.partition(".")[0].replace("_", "-").lower()
    for text in requires("mlhealth") or ():
        found = re.match(r"""([\w-]+).*;.*extra == ['"]([\w-]+)['"]""", text)
        if found and found[1].lower() == wanted and found[2] != "dev":
            return found[2]
    return None
