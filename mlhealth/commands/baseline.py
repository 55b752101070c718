"""`mlhealth baseline fit` and `show`: make a baseline from reference rows, and look at one."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from mlhealth.schema.file import SchemaFile
    from mlhealth.schema.model_schema import ModelSchema

group = typer.Typer(
    name="baseline", help="What normal looked like: fit, show, push, activate.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group to the command line, with the commands that need a store where they are installed."""
    app.add_typer(group)
    for name in ("baseline_store", "baseline_refresh"):
        if find_spec(f"mlhealth.commands.{name}") is not None:
            import_module(f"mlhealth.commands.{name}").register(group)


@group.command("fit")
def fit_command(
    ref: Annotated[Path, typer.Argument(help="Parquet or CSV: features, prediction, scores and true label.")],
    *,
    schema: Annotated[Path, typer.Option(help="The model's schema, model.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder to write the baseline to.")],
    train: Annotated[Path | None, typer.Option(help="Rows the model was trained on (same columns).")] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Ask the model: file.py:function, model.onnx or URL.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric to estimate (repeat); the first is primary.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Estimation method to fit (repeat).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
) -> None:
    """Fit a baseline on labelled rows that the model was not trained on."""
    from mlhealth.baseline.files import save
    from mlhealth.commands.terminal import progress_bar, stderr, warn
    from mlhealth.files.tables import read_table
    from mlhealth.fit import fit
    from mlhealth.schema.file import complete, load_schema
    from mlhealth.scorers.opening import open_scorer

    spec = load_schema(schema)
    reference = read_table(ref)
    _need_label(spec, schema)
    completed = complete(spec, reference, name=str(schema))
    asked = None if scorer is None else open_scorer(scorer, completed.schema)
    trained = None if train is None else _training_rows(train, completed.schema)
    with progress_bar("fitting") as told:
        fitted = fit(
            reference,
            spec,
            train=trained,
            scorer=asked,
            metrics=metric,
            seed=seed,
            methods=method,
            progress=told,
            name=str(ref),
        )
    save(fitted, out)
    warn(fitted.notes)
    stderr().print(
        f"baseline {fitted.hash[:12]} of {fitted.schema.model} version {fitted.schema.version}: {out}"
    )


@group.command("show")
def show_command(
    folder: Annotated[Path, typer.Argument(help="Folder made by `mlhealth baseline fit`.")],
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Take window, budget and segments from this mlhealth.yaml."),
    ] = None,
    window: Annotated[str | None, typer.Option(help="Length of a window: 15m, 1h, 1d; default 1h.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows that a window has.")] = 1_000,
    false_alarms: Annotated[
        str | None, typer.Option(help="False pages that are accepted; default '1 per 90d'.")
    ] = None,
) -> None:
    """Tell what a baseline holds, and which loss its false-alarm budget lets be found within how long."""
    from rich.console import Console

    from mlhealth.baseline.files import load
    from mlhealth.commands.baseline_picture import picture
    from mlhealth.commands.budget_picture import Traffic, budget_picture

    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else 0
    baseline = load(folder)
    budget = budget_picture(baseline, Traffic(config, window, rows, false_alarms))
    Console().print(picture(baseline, size, budget))


def _need_label(spec: SchemaFile, path: Path) -> None:
    from mlhealth.errors import ConfigError

    if spec.columns.label is None:
        raise ConfigError(
            f"{path}: key 'columns.label' is missing: a baseline needs rows whose true label is known"
        )


def _training_rows(path: Path, schema: ModelSchema) -> pa.Table:
    from mlhealth.files.tables import read_table, require_columns

    table = read_table(path)
    require_columns(table, [schema.prediction, *schema.scores], path=path, purpose="--train")
    require_columns(table, [schema.label or ""], path=path, purpose="columns.label, --train")
    return table
