"""Every table of the stream: one `metadata` for SQLite and PostgreSQL.

Times are integer microseconds since the epoch: event times where a name says start, end or event, else the wall clock.
A segment is "" for the overall window, else "column=value".
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from mlhealth.store.packed_json import PackedJson

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Serial = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key that counts by itself on both databases."""


def key(name: str) -> Column[str]:
    """Return a text column of a primary key."""
    return Column(name, Text, primary_key=True)


baselines = Table(
    "baselines",
    metadata,
    key("hash"),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("created", BigInteger, nullable=False),
    Index(None, "model", "version"),
)
"""Baselines as pushed: `blob` is the folder as an uncompressed zip; immutable, named by their content."""

baseline_activations = Table(
    "baseline_activations",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("baseline", Text, ForeignKey("baselines.hash"), nullable=False),
    Column("effective_start", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Index(None, "model", "version", "effective_start"),
)
"""From which event time on a baseline speaks for a model version; of two rows, the later one wins."""

model_versions = Table(
    "model_versions",
    metadata,
    key("model"),
    key("version"),
    Column("state", Text, nullable=False, server_default="live"),
    Column("closed_end", BigInteger),
    Column("final_end", BigInteger),
    Column("first_event", BigInteger),
    Column("created", BigInteger, nullable=False),
)
"""Known model versions. `state`: expected, live, retired. Windows that end by `closed_end` have a report;
panes that end by `final_end` take no more rows. The row that a closing worker compares and sets."""

partitions = Table(
    "partitions",
    metadata,
    key("topic"),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("progressed", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
)
"""How far each partition has been taken in; moved by compare-and-set only. `progressed`: when it last moved."""

watermarks = Table(
    "watermarks",
    metadata,
    key("model"),
    key("version"),
    key("topic"),
    Column("partition", Integer, primary_key=True),
    Column("event_time", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
)
"""The latest event time of a model version in a partition, and when (wall time) it was seen."""

partials = Table(
    "partials",
    metadata,
    key("model"),
    key("version"),
    key("segment"),
    Column("start", BigInteger, primary_key=True),
    key("topic"),
    Column("partition", Integer, primary_key=True),
    key("baseline"),
    Column("end", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("first_offset", BigInteger, nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Index(None, "topic", "partition"),
)
"""Profiles of the panes of open windows, one part per partition; `first_offset` is where rebuilding one would start."""

reports = Table(
    "reports",
    metadata,
    key("model"),
    key("version"),
    key("segment"),
    Column("start", BigInteger, primary_key=True),
    Column("revision", Integer, primary_key=True),
    key("baseline"),
    Column("end", BigInteger, nullable=False),
    Column("latest", Boolean, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("score", Float),
    Column("metric", Text, nullable=False),
    Column("value", Float),
    Column("lower", Float),
    Column("upper", Float),
    Column("reference", Float),
    Column("report", JSON().with_variant(PackedJson(), "sqlite"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Index(None, "model", "version", "segment", "latest", "start"),
)
"""Window reports. `metric`, `value`, ... are the primary metric's estimate; `report` is the whole `WindowReport`
as `mlhealth.report_json` writes it. `latest`: no later revision exists. `final`: no late row can make one."""

IS_OPEN = reports.c.latest & ~reports.c.final
"""Reports that late rows may still revise; few, so that an index holds them apart."""
Index(
    "ix_reports_open",
    reports.c.model,
    reports.c.version,
    reports.c.start,
    sqlite_where=IS_OPEN,
    postgresql_where=IS_OPEN,
)

window_profiles = Table(
    "window_profiles",
    metadata,
    key("model"),
    key("version"),
    key("segment"),
    Column("start", BigInteger, primary_key=True),
    key("baseline"),
    Column("end", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Column("sample", LargeBinary),
)
"""The profile behind the latest revision of a window: counts for ever, and of the sample what late labels join:
event keys, predictions and scores, as an Arrow stream."""

window_states = Table(
    "window_states",
    metadata,
    key("model"),
    key("version"),
    Column("start", BigInteger, primary_key=True),
    Column("state", JSON, nullable=False),
)
"""State of a model version's rules, segments included, *after* the window that ended at `start`, kept through lateness
so that a revision can refold what follows; the row with the highest start is the state before the next window."""

rejections = Table(
    "rejections",
    metadata,
    key("topic"),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("row", Integer, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("model", Text, nullable=False, server_default=""),
    Column("version", Text, nullable=False, server_default=""),
    Column("created", BigInteger, nullable=False),
    Index(None, "created"),
)
"""Events that could not be used: their address and why, never their body."""

counters = Table(
    "counters",
    metadata,
    key("topic"),
    Column("partition", Integer, primary_key=True),
    key("model"),
    key("version"),
    key("outcome"),
    Column("events", BigInteger, nullable=False),
)
"""Events by what became of them (accepted, rejected, late, future, duplicate, waiting, unknown_model, ...), beside them
`repeated` (of the accepted) and `gap` (messages): exactly-once, since they move with the offsets."""

store_settings = Table(
    "store_settings",
    metadata,
    key("name"),
    Column("value", Text, nullable=False),
)
"""Small facts about the store itself."""
