"""A sampled log speaks for the traffic that it was drawn from: uniformly, by topic, or with unequal weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from mlhealth.baseline.record import Baseline
from mlhealth.errors import ConfigError
from mlhealth.estimate_json import report_to_dict
from mlhealth.events.batch import WEIGHT
from mlhealth.events.formats.base import Reading
from mlhealth.events.normalise import Origin, normalise
from mlhealth.fit import fit
from mlhealth.monitor import evaluate
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import WindowKey, WindowReport
from mlhealth.schema.file import complete
from mlhealth.sources.base import Address
from mlhealth.worker.decoding import decode
from tests.loans import loan_baseline, loan_schema, loan_table
from tests.property.test_json_events import messages

TRAFFIC = 40_000


def whose(said: str | None) -> Baseline:
    """Return the lender's baseline, whose events say how they were sampled in the column `logged`."""
    base = loan_baseline()
    if said is None:
        return base
    named: dict[str, Any] = {said: "logged"}
    schema = replace(base.schema, **named)
    return replace(base, schema=schema, layout=replace(base.layout, schema=schema))


def report_of(table: pa.Table, said: str | None = None) -> WindowReport:
    """Return the report of a table as one window."""
    base = whose(said)
    batch = normalise(table, base.schema, Origin.file("prod", table.num_rows)).batch
    key = WindowKey("loans", "3", "", 0, 1)
    return evaluate(WindowProfile.of(batch, base.layout), base, key)


def logged(table: pa.Table, chances: NDArray[np.float64], seed: int) -> pa.Table:
    """Return the rows of a table that come into a log with these chances, and the chance as a column."""
    came = np.random.default_rng(seed).random(table.num_rows) < chances
    return table.append_column("logged", pa.array(chances)).filter(pa.array(came))


def rare_when_sure(table: pa.Table) -> NDArray[np.float64]:
    """Return chances by which clear cases are seldom logged and doubtful ones always."""
    doubt = 1.0 - 2.0 * np.abs(np.asarray(table.column("y_score")) - 0.5)
    return np.where(doubt > 0.6, 1.0, np.where(doubt > 0.3, 0.3, 0.05))


def accuracy(report: WindowReport) -> float:
    """Return the estimated accuracy."""
    return report.estimates["accuracy"].value or 0.0


def test_a_tenth_of_the_log_gives_the_estimates_of_the_whole() -> None:
    """Of an evenly sampled log estimates lie within sampling error; the volume is the traffic's, rows are beside."""
    table = loan_table(TRAFFIC, seed=3)
    whole = report_of(table)
    tenth = report_of(logged(table, np.full(TRAFFIC, 0.1), 1), "sampling_fraction")
    assert tenth.rows == pytest.approx(TRAFFIC / 10, rel=0.05)
    assert tenth.events == pytest.approx(10 * tenth.rows, abs=1)
    assert tenth.volume == pytest.approx(TRAFFIC, rel=0.05)
    assert tenth.effective_rows == tenth.rows
    assert accuracy(tenth) == pytest.approx(accuracy(whole), abs=0.01)
    assert tenth.realized["accuracy"] == pytest.approx(whole.realized["accuracy"], abs=0.03)
    assert not any(result.drifted for result in tenth.drift.values())


def test_even_sampling_changes_volumes_alone() -> None:
    """The same rows as a whole log and as a tenth of one give the same numbers, but for the volume."""
    table = loan_table(3_000, seed=4)
    whole = report_of(table)
    tenth = report_of(table.append_column("logged", pa.array(np.full(3_000, 0.1))), "sampling_fraction")
    assert tenth.events == 30_000
    assert replace(tenth, events=None, effective_rows=None, baseline=whole.baseline) == whole
    told = report_to_dict(tenth, window=0, start=0, end=1)
    assert (told["rows"], told["events"], told["effective_rows"]) == (3_000, 30_000, 3_000)


def test_unequal_weights_are_unbiased() -> None:
    """Where clear cases are seldom logged, weighed estimates agree with the whole; without weights they do not."""
    weighed, bare, truth = [], [], []
    for seed in range(8):
        table = loan_table(TRAFFIC, seed=seed)
        log = logged(table, rare_when_sure(table), seed)
        report = report_of(log, "sampling_fraction")
        assert report.volume == pytest.approx(TRAFFIC, rel=0.05)
        assert (report.effective_rows or 0) < report.rows
        weighed.append(accuracy(report))
        without = report_of(log)
        assert without.drift["income"].drifted
        bare.append(accuracy(without))
        truth.append(accuracy(report_of(table)))
        assert not any(report.drift[name].drifted for name in ("income", "debt", "region", "owner"))
    error = np.subtract(weighed, truth)
    assert abs(error.mean()) < 4.0 * error.std() / np.sqrt(len(error)) + 1e-3
    assert np.abs(error).max() < 0.04
    assert np.subtract(bare, truth).mean() < -0.03


def test_weights_and_fractions_are_two_words_for_one_thing() -> None:
    """A weight of 8 and a fraction of 1/8 give equal reports."""
    table = loan_table(2_000, seed=5)
    some = np.where(np.arange(2_000) % 3 == 0, 8.0, 1.0)
    fraction = report_of(table.append_column("logged", pa.array(1.0 / some)), "sampling_fraction")
    weight = report_of(table.append_column("logged", pa.array(some)), "weight")
    assert replace(fraction, baseline="") == replace(weight, baseline="")


def test_a_topic_may_say_how_it_is_sampled() -> None:
    """Events that say nothing themselves are weighed by their topic's fraction; those that do keep their own."""
    base = whose("weight")
    table = loan_table(4, seed=6).drop_columns(["y_true"])
    events = [orjson.dumps({**row, "ts": row["ts"].isoformat()}) for row in table.to_pylist()]
    address = Address("loans", "3", fraction=0.25)
    found = decode(address, messages(events), Reading(base.schema))
    assert found.batch.array(WEIGHT).tolist() == [4.0] * 4
    own = [orjson.dumps({**orjson.loads(event), "logged": 2}) for event in events]
    assert decode(address, messages(own), Reading(base.schema)).batch.array(WEIGHT).tolist() == [2.0] * 4
    whole = decode(replace(address, fraction=1.0), messages(events), Reading(base.schema))
    assert WEIGHT not in whole.batch.table.column_names


@pytest.mark.parametrize(
    ("said", "value", "reason"),
    [
        ("weight", 0, "logged: outside 1e-06 to 1e+06"),
        ("weight", -1, "logged: outside 1e-06 to 1e+06"),
        ("weight", "heavy", "logged: not a number"),
        ("sampling_fraction", 0, "logged: outside 1e-06 to 1"),
        ("sampling_fraction", 1.5, "logged: outside 1e-06 to 1"),
    ],
)
def test_a_weight_that_cannot_be_rejects_its_event(said: str, value: object, reason: str) -> None:
    """Weights must be above 0 and fractions at most 1; an event without one stands for itself."""
    base = whose(said)
    table = loan_table(3, seed=6)
    given = [value, None, "0.5"] if isinstance(value, str) else [value, None, 0.5]
    found = normalise(table.append_column("logged", pa.array(given)), base.schema, Origin.file("prod", 3))
    assert [rejection.reason for rejection in found.rejections] == [reason]
    assert found.batch.array(WEIGHT).tolist() == [1.0, 0.5 if said == "weight" else 2.0]


def test_a_sampled_reference_is_made_even() -> None:
    """A baseline fitted on a log with unequal weights knows the traffic's accuracy, and says how it came about."""
    table = loan_table(TRAFFIC, seed=7)
    log = logged(table, rare_when_sure(table), 7)
    columns = loan_schema().columns.model_copy(update={"sampling_fraction": "logged"})
    spec = loan_schema().model_copy(update={"columns": columns})
    assert "logged" not in complete(spec, log).schema.feature_names
    base = fit(log, spec, methods=["cbpe"])
    hits = np.asarray(table.column("y_pred")) == np.asarray(table.column("y_true"))
    assert base.metrics["accuracy"].value == pytest.approx(hits.mean(), abs=0.03)
    assert any("stand for equally many events" in note for note in base.notes)
    assert WEIGHT not in base.rows.column_names


def test_a_schema_says_it_in_one_way() -> None:
    """Naming both a weight and a fraction is refused."""
    columns = loan_schema().columns.model_copy(update={"sampling_fraction": "debt", "weight": "income"})
    spec = loan_schema().model_copy(update={"columns": columns})
    with pytest.raises(ConfigError, match="remove one of them"):
        complete(spec, loan_table(600))
