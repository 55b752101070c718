"""JSON kept as compressed bytes comes back as it was."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.sqlite import dialect

from mlhealth.store.packed_json import PackedJson

SQLITE = dialect()
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
)
DATA = st.dictionaries(st.text(), st.recursive(PLAIN | st.text(), st.lists, max_leaves=20))


@given(DATA)
def test_data_comes_back(data: dict[str, Any]) -> None:
    """Whatever JSON holds is read as it was written, from bytes and from the text of an older store."""
    kind = PackedJson()
    stored = kind.process_bind_param(data, SQLITE)
    assert isinstance(stored, bytes)
    assert kind.process_result_value(stored, SQLITE) == data
    assert kind.process_result_value(json.dumps(data), SQLITE) == data
