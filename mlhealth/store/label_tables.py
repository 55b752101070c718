"""Labels, what was drawn for labelling, and how estimates compared with the truth."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, Table, Text

from mlhealth.store.tables import key, metadata

labels = Table(
    "labels",
    metadata,
    key("model"),
    key("version"),
    Column("event", BigInteger, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Index(None, "model", "change"),
    Index(None, "created"),
)
"""The label of each event, by the hash of its key (`event`, as a signed number); version "" is any of the model.
`at`: when it was so, by the label's own word or else its arrival; the later one stands. `change`: the model's count of
changes when the value came to stand. `created`: wall time of that."""

label_heads = Table(
    "label_heads",
    metadata,
    key("model"),
    Column("changes", BigInteger, nullable=False),
)
"""How often labels of a model have changed: whoever writes labels holds this row until the transaction ends."""

label_progress = Table(
    "label_progress",
    metadata,
    key("model"),
    key("version"),
    Column("considered", BigInteger, nullable=False),
)
"""Up to which change the labels of a model version have been joined with its closed windows."""

label_draws = Table(
    "label_draws",
    metadata,
    key("model"),
    key("version"),
    Column("start", BigInteger, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("events", LargeBinary, nullable=False),
    Column("probabilities", LargeBinary, nullable=False),
    Column("chosen", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
)
"""Independent draws of rows for labelling from a window's kept sample: its event keys (uint64), with which probability
each was to be drawn (float64), and whether it was (bytes)."""

comparisons = Table(
    "comparisons",
    metadata,
    key("model"),
    key("version"),
    key("segment"),
    Column("start", BigInteger, primary_key=True),
    key("metric"),
    Column("end", BigInteger, nullable=False),
    Column("baseline", Text, nullable=False),
    Column("labelled", BigInteger, nullable=False),
    Column("level", Float, nullable=False),
    Column("value", Float),
    Column("lower", Float),
    Column("upper", Float),
    Column("realized", Float, nullable=False),
    Column("realized_lower", Float, nullable=False),
    Column("realized_upper", Float, nullable=False),
)
"""What was estimated without labels, and what labels then said, of each window and metric that has both."""
