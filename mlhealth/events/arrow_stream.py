"""Arrow IPC streams from strangers: read whole, and checked whole, before any of their values is touched.

Arrow trusts the offsets and lengths in a stream; wrong ones would make it read memory that is not its own.
"""

from __future__ import annotations

import pyarrow as pa

from mlhealth.errors import DataError


def read_stream(value: bytes) -> pa.Table:
    """Return the table in a stream; raises DataError where it is none, or not a sound one."""
    try:
        table = pa.ipc.open_stream(value).read_all()
        table.validate(full=True)
        names = table.column_names  # Arrow before 18 finds out only here that a name is no text
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError(f"not an Arrow stream: {type(error).__name__}") from None
    if table.num_columns == 0 and table.num_rows:
        raise DataError("the Arrow stream has rows without columns")
    if len(set(names)) < table.num_columns:
        raise DataError("the Arrow stream has two columns of one name")
    return table


def written(table: pa.Table) -> bytes:
    """Return a table as a stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
