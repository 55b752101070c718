"""Backup and restore, from the command line: SQLite by its own command, PostgreSQL by PostgreSQL's tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from mlhealth.cli import app
from mlhealth.errors import MlhealthError
from mlhealth.store import schema
from mlhealth.store.database import Database
from mlhealth.store.tables import store_settings


def _configured(folder: Path, store: str) -> Path:
    config = folder / "mlhealth.yaml"
    config.write_text(f"store: {store}\n")
    return config


def _run(*arguments: object) -> None:
    done = CliRunner().invoke(app, ["store", *map(str, arguments)])
    if isinstance(done.exception, MlhealthError):
        raise done.exception
    assert done.exit_code == 0, done.output


def _put(database: Database, name: str) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(store_settings).values(name=name, value="x"))


def _names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(sa.select(store_settings.c.name)).scalars())


def test_a_store_in_use_is_backed_up_and_restored(tmp_path: Path) -> None:
    """A copy is taken while the store is open and claimed, and later takes its place; what came after it is gone."""
    config = _configured(tmp_path, "sqlite:///store.db")
    database = Database.open(f"sqlite:///{tmp_path / 'store.db'}")
    schema.ensure(database)
    database.claim()
    _put(database, "before")
    _run("backup", tmp_path / "copy.db", "-c", config)
    _put(database, "after")
    with pytest.raises(MlhealthError, match="another mlhealth process serves"):
        _run("restore", tmp_path / "copy.db", "-c", config)
    database.close()
    _run("restore", tmp_path / "copy.db", "-c", config)
    assert _names(Database.open(f"sqlite:///{tmp_path / 'store.db'}")) == {"before"}


def test_a_backup_is_never_written_over_nor_restored_when_damaged(tmp_path: Path) -> None:
    """An existing file is refused, and so is a file that is no whole store; the store stays as it was."""
    config = _configured(tmp_path, "sqlite:///store.db")
    database = Database.open(f"sqlite:///{tmp_path / 'store.db'}")
    schema.ensure(database)
    _put(database, "kept")
    copy = tmp_path / "copy.db"
    _run("backup", copy, "-c", config)
    with pytest.raises(MlhealthError, match="is there already"):
        _run("backup", copy, "-c", config)
    body = bytearray(copy.read_bytes())
    page = int.from_bytes(body[16:18], "big")
    body[page : 3 * page] = b"x" * 2 * page
    copy.write_bytes(body)
    with pytest.raises(MlhealthError, match="no backup that can be read"):
        _run("restore", copy, "-c", config)
    assert "kept" in _names(database)
    database.close()


def test_an_old_backup_is_upgraded_after_its_restore(tmp_path: Path) -> None:
    """The way back and forth: downgrade, backup, restore, upgrade, each by its command."""
    config = _configured(tmp_path, "sqlite:///store.db")
    _run("upgrade", "-c", config)
    _run("downgrade", "0001", "-c", config)
    _run("backup", tmp_path / "old.db", "-c", config)
    _run("upgrade", "-c", config)
    _run("restore", tmp_path / "old.db", "-c", config)
    _run("upgrade", "-c", config)
    schema.ensure(Database.open(f"sqlite:///{tmp_path / 'store.db'}"))


def test_postgresql_is_backed_up_by_its_own_tools(tmp_path: Path, postgres: str) -> None:
    """The two commands of the documentation, pg_dump and pg_restore, bring a store back."""
    tools = [_tool("pg_dump"), _tool("pg_restore")]
    database = Database.open(postgres)
    schema.ensure(database)
    _put(database, "before")
    config = _configured(tmp_path, postgres)
    with pytest.raises(MlhealthError, match="pg_dump"):
        _run("backup", tmp_path / "copy.db", "-c", config)
    url = make_url(postgres).set(drivername="postgresql").render_as_string(hide_password=False)
    dump = tmp_path / "mlhealth.dump"
    subprocess.run([tools[0], "--format=custom", f"--file={dump}", url], check=True, timeout=60)
    _put(database, "after")
    server = sa.create_engine(make_url(postgres).set(database="postgres"), isolation_level="AUTOCOMMIT")
    name = f"restored_{uuid4().hex[:8]}"
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    server.dispose()
    fresh = make_url(url).set(database=name).render_as_string(hide_password=False)
    subprocess.run([tools[1], f"--dbname={fresh}", str(dump)], check=True, timeout=60)
    restored = Database.open(fresh)
    assert _names(restored) == {"before"}
    schema.ensure(restored)
    restored.close()
    database.close()


def _tool(name: str) -> str:
    """Return the path of a tool of PostgreSQL, which Debian keeps beside the server."""
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
