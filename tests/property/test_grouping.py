"""Records taken by column come to the same as records taken one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlhealth.events.messages import Partition
from mlhealth.sources.base import FORMAT_HEADER, MODEL_HEADER, VERSION_HEADER, WATERMARK_HEADER, Address
from mlhealth.sources.grouping import Columns, Grouping

Header = tuple[str, bytes | None]
MODELS: list[list[Header]] = [[(MODEL_HEADER, name), (VERSION_HEADER, b"1")] for name in (b"a", b"b")]
HEADERS: list[list[Header] | None] = [
    None,
    [],
    *[[*model] for model in MODELS],
    [*MODELS[0], ("traceparent", b"00-1")],
    [*MODELS[0], (FORMAT_HEADER, b"arrow")],
    [*MODELS[0], (WATERMARK_HEADER, b"2026-01-01T00:00:00Z")],
    [("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_type", b"x.request")],
    [("content-type", b"application/cloudevents+json")],
]
RECORDS = st.lists(
    st.tuples(st.sampled_from(HEADERS), st.sampled_from([None, b"", b"{}"])), min_size=1, max_size=8
)
TOPICS = {"configured": Address("c", "2"), "halves": Address("h", "1", "seldon")}


def grouping(topic: str) -> tuple[Grouping, int]:
    """Return a grouping with one partition of a topic, and its number."""
    found = Grouping(TOPICS)
    return found, found.open(Partition(topic, 3))


@given(st.sampled_from(["other", *TOPICS]), RECORDS)
def test_columns_come_to_the_same_as_records(
    topic: str, records: list[tuple[list[Header] | None, bytes | None]]
) -> None:
    """The same messages in the same order by address, and the same watermarks, whatever the headers say."""
    one_by_one, number = grouping(topic)
    for offset, (headers, value) in enumerate(records):
        one_by_one.add(number, offset, 1_000 + offset, headers or (), value, key=b"k%d" % offset)
    together, number = grouping(topic)
    offsets = list(range(len(records)))
    together.extend(
        number,
        Columns(
            offsets,
            [1_000 + offset for offset in offsets],
            [headers for headers, _ in records],
            [value for _, value in records],
            lambda i: b"k%d" % i,
        ),
    )
    assert contents(together) == contents(one_by_one)
    assert set(together.marks) == set(one_by_one.marks)


def contents(found: Grouping) -> dict[Address, list[tuple[int, int, bytes, Partition]]]:
    """Return each address's messages: offset, time, body and partition."""
    return {
        address: [
            (int(offset), int(written), value, messages.partitions[index])
            for offset, written, value, index in zip(
                messages.offsets, messages.timestamps, messages.values, messages.index, strict=True
            )
        ]
        for address, messages in found.batches()
    }
