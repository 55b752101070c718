"""The sample that a retraining request suggests to label: drawn when the window closes, good when labels come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from mlhealth.alerts.rules import parse_rules
from mlhealth.records import RetrainingStatus
from mlhealth.store import labels
from mlhealth.store.alert_tables import retraining_requests
from mlhealth.store.database import Database
from tests.integration.test_late_labels import NAME, PER_WINDOW, Desk
from tests.servers.stream import START, WINDOW, Bench, loan_baseline, loan_events

RULES = """
rules:
  - alert: Always
    when: rows > 0
    retrain: {service: gpu, sample: %d, even_if_input_is_broken: true}
"""


def desk(folder: Path, sample: int) -> Desk:
    """Return a worker whose every window asks for a training, with two windows closed."""
    rules = parse_rules(RULES % sample)
    bench = Bench(Database.open(f"sqlite:///{folder}/store.db"), loan_baseline(), rules=rules)
    bench.prepare()
    made = Desk(bench)
    made.send(loan_events(3 * PER_WINDOW))
    return made


@pytest.mark.parametrize("sample", [0, 40])
def test_a_request_names_the_rows_to_label_first(sample: int, tmp_path: Path) -> None:
    """The request names rows of its own window, with their chances; the draw is kept as `label suggest` keeps one."""
    house = desk(tmp_path, sample)
    with house.bench.database.read() as connection:
        row = connection.execute(
            select(retraining_requests).where(retraining_requests.c.status == str(RetrainingStatus.REQUESTED))
        ).one()
        draws = labels.draws(connection, NAME, START)
    assert (row.data_start, row.data_end) == (START, START + WINDOW)
    if sample == 0:
        assert "sample" not in row.evidence
        assert draws == []
        return
    told = row.evidence["sample"]
    assert (told["metric"], told["of"]) == ("accuracy", PER_WINDOW)
    assert 0 < told["half_width"] < 0.2
    (draw,) = draws
    assert len(told["rows"]) == draw.chosen.sum() == pytest.approx(sample, abs=1)
    assert {r["id"] for r in told["rows"]} < {f"e{n}" for n in range(PER_WINDOW)}
    chances = sorted(r["probability"] for r in told["rows"])
    assert chances == pytest.approx(np.sort(draw.probabilities[draw.chosen]).tolist())
    assert "amount" not in told["rows"][0]
