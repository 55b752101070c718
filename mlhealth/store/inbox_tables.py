"""The tables of the HTTP inbox: a log of request bodies per partition, and who reads it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from mlhealth.store.tables import key, metadata

inbox_partitions = Table(
    "inbox_partitions",
    metadata,
    Column("partition", Integer, primary_key=True),
    Column("first_offset", BigInteger, nullable=False, server_default="0"),
    Column("next_offset", BigInteger, nullable=False, server_default="0"),
    Column("rows", BigInteger, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("reader", Text, nullable=False, server_default=""),
    Column("lease", BigInteger, nullable=False, server_default="0"),
)
"""Where each log begins and ends, what waits in it (`rows`, `bytes`), and who reads it until `lease`. The row is locked
while a message is added, so that messages become visible in the order of their offsets."""

inbox = Table(
    "inbox",
    metadata,
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("watermark", BigInteger),
    Column("written", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("reason", Text),
    Index(None, "reason", "written"),
)
"""Bodies as they came, until their checkpoint; `reason`: why one could not be used, which keeps it for longer.
`watermark`: no earlier event of the model version follows (then there is no body)."""

inbox_readers = Table(
    "inbox_readers",
    metadata,
    key("name"),
    Column("lease", BigInteger, nullable=False),
)
"""The workers that read the inbox, each until its lease ends: they share the partitions evenly."""

inbox_requests = Table(
    "inbox_requests",
    metadata,
    key("key"),
    Column("digest", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created", BigInteger, nullable=False, index=True),
)
"""Answers by idempotency key, and a digest of the request they were given to."""
