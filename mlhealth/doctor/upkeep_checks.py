"""A store in use: its backup, its retention, how long its disk lasts, and who hears when mlhealth stops."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.clock import DAY, HOUR, format_duration
from mlhealth.config.service import Config
from mlhealth.doctor.findings import Finding, ok, warning
from mlhealth.doctor.store_checks import file_of
from mlhealth.store.database import Database
from mlhealth.store.tables import reports
from mlhealth.store.upkeep import Upkeep, noted

_OLD_BACKUP = 7 * DAY
_LATE_HOUSEKEEPING = 3 * HOUR
_SHORT = 30 * DAY
"""A disk that is full sooner is worth a word."""


def check_upkeep(database: Database, config: Config, now: int) -> Iterator[Finding]:
    """Yield what is to be said of a store that holds reports; one without has nothing to lose yet."""
    with database.read() as connection:
        first, count = connection.execute(sa.select(sa.func.min(reports.c.created), sa.func.count())).one()
        if not count:
            return
        yield _backup(connection, database, now)
        yield _housekeeping(connection, now)
    yield from _capacity(database, (int(first), int(count)), now)
    yield _watchers(config)


def _backup(connection: Connection, database: Database, now: int) -> Finding:
    if not database.is_sqlite:
        return ok("backup", "made by PostgreSQL's own tools, which leave no trace here")
    last = noted(connection, Upkeep.BACKUP)
    remedy = "run `mlhealth store backup FILE` every day"
    if last is None:
        return warning("backup", "`mlhealth store backup` has never copied this store", remedy)
    seen = f"the last copy was made {_ago(now - last)} ago"
    return ok("backup", seen) if now - last <= _OLD_BACKUP else warning("backup", seen, remedy)


def _housekeeping(connection: Connection, now: int) -> Finding:
    last = noted(connection, Upkeep.HOUSEKEEPING)
    remedy = "let the service run, or run `mlhealth store retain`"
    if last is None:
        return warning("store retention", "nothing was ever let go of as `retention` says", remedy)
    seen = f"was seen to {_ago(now - last)} ago"
    is_late = now - last > _LATE_HOUSEKEEPING
    return warning("store retention", seen, remedy) if is_late else ok("store retention", seen)


def _capacity(database: Database, written: tuple[int, int], now: int) -> Iterator[Finding]:
    """Yield how long the disk lasts at the pace at which the store has grown, where it is a file of this machine."""
    file, (first, count) = file_of(database), written
    if file is None or now - first < DAY:
        return
    size = file.stat().st_size
    pace = size / (now - first)
    left = int(shutil.disk_usage(file.parent).free / pace)
    seen = f"{size / count / 1024:.0f} KiB per report, {pace * DAY / 1024**2:.1f} MiB a day: room for {_ago(left)}"
    if left < _SHORT:
        yield warning("capacity", seen, "make room, or keep less: `retention`")
    else:
        yield ok("capacity", seen)


def _watchers(config: Config) -> Finding:
    if config.watchdog.dead_man is not None:
        return ok("watchers", "a dead man's switch is called while all is well")
    if config.receivers:
        seen = "receivers hear of dead workers; whether anybody watches /metrics cannot be seen from here"
        return ok("watchers", seen)
    return warning(
        "watchers",
        "nobody is told when mlhealth itself stops",
        "set `watchdog.dead_man`, or give Prometheus the rules of `mlhealth prometheus export`",
    )


def _ago(span: int) -> str:
    """Return a span in its largest unit, such as 3d; at least a minute.

    >>> _ago(3 * DAY + HOUR), _ago(90 * 60 * 1_000_000)
    ('3d', '1h')
    """
    unit = DAY if span >= DAY else HOUR if span >= HOUR else HOUR // 60
    return format_duration(max(span // unit, 1) * unit)
