"""`mlhealth store`: upgrade, back up, restore, retain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.store.database import Database

group = typer.Typer(name="store", help="The store: upgrade, back up, restore, retain.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line, and `db` as another name of it, for those who look for `db upgrade`."""
    app.add_typer(group)
    app.add_typer(group, name="db", hidden=True)


@group.command("upgrade")
def upgrade(config: ConfigPath = Path("mlhealth.yaml")) -> None:
    """Bring the store to the schema of this version of mlhealth; stop every other process first."""
    from mlhealth.commands.terminal import stderr
    from mlhealth.store import schema

    before, after = schema.upgrade(_database(config))
    if before == after:
        stderr().print(f"the store has schema {after}: nothing to do")
    else:
        stderr().print(f"the store's schema is {after} (was {before or 'empty'})")


@group.command("downgrade")
def downgrade(
    to: Annotated[str, typer.Argument(metavar="SCHEMA", help="The schema of the version to go back to.")],
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Take the store back to an older schema, before an older version of mlhealth is started; back it up first.

    What only the newer schema can hold is lost.
    """
    from mlhealth.commands.terminal import stderr
    from mlhealth.store import schema

    before = schema.downgrade(_database(config), to)
    stderr().print(f"the store's schema is {to} (was {before})")


@group.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write the copy; it must not be there yet.")],
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Copy a SQLite store while it is in use; for PostgreSQL, use pg_dump."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.terminal import stderr
    from mlhealth.store import schema
    from mlhealth.store.backup import backup as copy
    from mlhealth.store.upkeep import Upkeep, note

    database = _database(config)
    size = copy(database, file)
    with database.begin() as connection:
        if schema.current(connection) == schema.NEWEST:
            note(connection, Upkeep.BACKUP, SystemClock().now())
    stderr().print(f"{file} holds the store ({size / 1024**2:.1f} MiB)")


@group.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="A copy made by `mlhealth store backup`.")],
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Put a backup in the place of a SQLite store; stop every process first."""
    from mlhealth.commands.terminal import stderr
    from mlhealth.store import backup

    database = _database(config)
    database.claim()
    try:
        backup.restore(database, file)
    finally:
        database.close()
    stderr().print(f"the store is what it was in {file}; an older one: run `mlhealth store upgrade`")


@group.command("retain")
def retain(
    config: ConfigPath = Path("mlhealth.yaml"),
    vacuum: Annotated[
        bool, typer.Option(help="Give the room back to the disk (SQLite; takes a while).")
    ] = False,
) -> None:
    """Merge old windows into days and let go of what is older, as `retention` says; the service does so hourly."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.commands.terminal import stderr
    from mlhealth.housekeeping import keep_house

    settings, database = opened(config)
    done = keep_house(database, settings, SystemClock().now())
    if vacuum:
        database.vacuum()
    stderr().print(
        f"{done.merged} windows merged into days; let go: {done.samples} samples, {done.reports} reports,"
        f" {done.days} days, {done.rejections} rejections"
    )


def _database(config: Path) -> Database:
    """Return the store of a configuration as it is, whatever its schema."""
    from mlhealth.config.service import load
    from mlhealth.store.database import Database

    return Database.open(load(config).store)
