"""`mlhealth report`: a review of one model version over a period, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("report")(report)


def report(
    model: Annotated[str, typer.Argument(help="Model.")],
    version: Annotated[str, typer.Argument(help="Version.")],
    out: Annotated[Path, typer.Option(help="File to write: .html (self-contained) or .md.")],
    *,
    start: Annotated[str | None, typer.Option("--from", help="First window, ISO 8601.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Windows before this, ISO 8601.")] = None,
    config: Annotated[Path, typer.Option("-c", "--config", help="The service's configuration.")] = Path(
        "mlhealth.yaml"
    ),
) -> None:
    """Write what was estimated, what came true, which alerts fired, what was done, and the limits of it all."""
    from mlhealth.clock import SystemClock, from_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.dashboards.report import review, to_html, to_markdown
    from mlhealth.errors import ConfigError
    from mlhealth.queries.reports import Period, Queries

    writers = {".html": to_html, ".md": to_markdown}
    if out.suffix not in writers:
        raise ConfigError(f"--out {out}: write a file that ends in .html or .md")
    _, database = opened(config)
    period = Period(from_iso(start) if start else None, from_iso(end) if end else None)
    told = review(Queries(database), model, version, period, now=SystemClock().now())
    out.write_text(writers[out.suffix](told), encoding="utf-8")
    print(out)
