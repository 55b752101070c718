"""Handing a baseline in over HTTP, as a training job does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlhealth.errors import ConfigError
from mlhealth.handing_in import hand_in
from mlhealth.store import audit, baselines
from mlhealth.store.tokens import Scope, TokenRequest
from tests.loans import loan_baseline
from tests.store_builder import FilledStore
from tests.web_server import application, served


@pytest.fixture
def address(store: FilledStore) -> Iterator[str]:
    """The address of the service over the store."""
    with served(application(store)) as found:
        yield found


def test_a_baseline_arrives_whole_and_speaks(store: FilledStore, address: str) -> None:
    """What is handed in is what the store holds, active, with the act in the audit trail; twice changes nothing."""
    baseline = loan_baseline()
    told = hand_in(baseline, address)
    assert told == {"hash": baseline.hash, "model": "loans", "version": "3", "active": True}
    assert hand_in(baseline, address + "/") == told
    with store.queries.database.read() as connection:
        assert baselines.load(connection, baseline.hash).metrics == baseline.metrics
        acts = [row["action"] for row in audit.export(connection)]
    assert acts.count("baseline.activate") == 1


def test_a_baseline_may_wait(address: str) -> None:
    """Without `activate` it is stored and does not speak."""
    assert hand_in(loan_baseline(), address, activate=False)["active"] is False


def test_what_is_no_baseline_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are damaged are answered with the reason, and nothing is stored."""
    monkeypatch.setattr("mlhealth.baseline.files.to_bytes", lambda baseline: b"nonsense")
    with pytest.raises(ConfigError, match=r"answered 4\d\d: .*the body"):
        hand_in(loan_baseline(), address)


def test_only_who_may_act_hands_in(store: FilledStore, address: str) -> None:
    """A reading token is refused, an operating one for the model is not, one for another model is."""

    def token(scope: Scope, *models: str) -> str:
        request = TokenRequest("job", frozenset({scope}), models=models)
        return store.tokens.create(request, store.clock.now())[1]

    for refused in (token(Scope.READ), token(Scope.INGEST), token(Scope.OPERATE, "other-")):
        with pytest.raises(ConfigError, match="answered 403"):
            hand_in(loan_baseline(), address, refused)
    assert hand_in(loan_baseline(), address, token(Scope.OPERATE, "loan"))["active"]
