"""Approving a retraining by a signed link, and what a policy wants to have come in before it asks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from numpy.random import default_rng

from mlhealth.alerts.approval import ApprovalLinks
from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.engine import step
from mlhealth.alerts.notifiers.registry import notifier, receiver_config
from mlhealth.alerts.rules import parse_rules
from mlhealth.api.app import create_app
from mlhealth.api.services import Services
from mlhealth.clock import DAY, SECOND, ManualClock
from mlhealth.errors import AuthError
from mlhealth.queries.reports import Queries
from mlhealth.records import RetrainingRequest, RetrainingStatus
from mlhealth.store import audit, retraining
from mlhealth.store.alert_tables import record
from mlhealth.store.database import Database
from mlhealth.store.tokens import Tokens
from tests.alert_rules import DESIGN_RULE, fold, store, window
from tests.strict_receiver import receiver
from tests.web_server import served

NOW = 1_800_000_000 * SECOND
CAREFUL = DESIGN_RULE.replace("retrain: gpu", "retrain: {service: gpu, approval: true}")


def asked(database: Database) -> RetrainingRequest:
    """Record a page whose retraining awaits approval."""
    done = step(parse_rules(CAREFUL), window(0))
    with database.begin() as connection:
        record(connection, done, NOW)
    return done.requests[0]


def test_the_link_in_a_page_approves_once(tmp_path: Path) -> None:
    """The page carries a link; GET shows the request and changes nothing, POST approves it, once, on the record."""
    database = store(tmp_path)
    request, tokens, clock = asked(database), Tokens(database), ManualClock(NOW)
    with receiver() as server:
        config = receiver_config("oncall", {"webhook": {"url": server.url}})
        links = ApprovalLinks(tokens.session_secret(), "http://127.0.0.1:8080")
        options = Options(clock=clock, rng=default_rng(1), links=links)
        Dispatcher(database, {"oncall": Receiver(notifier("oncall", config), config)}, options).turn()
        (alert,) = server.taken[0].json["alerts"]
    link = alert["annotations"]["link_approve_retraining"]
    path = link.removeprefix("http://127.0.0.1:8080")
    app = create_app(Services(queries=Queries(database), tokens=tokens, clock=clock))
    with served(app) as address, httpx.Client(base_url=address) as client:
        shown = client.get(path)
        assert (shown.status_code, request.id in shown.text, "<button>Approve" in shown.text) == (
            200,
            True,
            True,
        )
        with database.read() as connection:
            assert retraining.awaits_approval(retraining.get(connection, request.id))
        assert client.post(path).status_code == 200
        again = client.post(path)
        assert (again.status_code, "does not await approval" in again.text) == (409, True)
        assert "<button>" not in client.get(path).text
        clock.advance(DAY)
        assert client.get(path).status_code == 403
    with database.read() as connection:
        row = retraining.get(connection, request.id)
        acts = [(line["actor"], line["action"]) for line in audit.export(connection)]
    assert (row.approved_by, row.detail) == ("approval link", None)
    assert acts == [("approval link", "retraining.approve")]
    database.close()


def test_forged_damaged_and_old_links_are_refused() -> None:
    """Only what this store's secret signed is read, and only while it is good."""
    links = ApprovalLinks("secret", "http://x")
    token = links.link("mlhealth-1", NOW).rpartition("/")[2]
    assert links.read(token, NOW) == "mlhealth-1"
    with pytest.raises(AuthError, match="too old"):
        links.read(token, NOW + DAY)
    for bad in (token[:-1] + ("A" if token[-1] != "A" else "B"), "nonsense", ""):
        with pytest.raises(AuthError, match="not made by this service"):
            links.read(bad, NOW)
    with pytest.raises(AuthError):
        replace(links, secret="other").read(token, NOW)
    assert ApprovalLinks("secret").link("mlhealth-1", NOW) == ""


def test_no_link_where_nothing_awaits_approval() -> None:
    """Rules without approval, and the end of an alert, carry none."""
    first = step(parse_rules(DESIGN_RULE), window(0))
    assert [notice.request for notice in first.notices] == [None]
    careful = step(parse_rules(CAREFUL), window(0))
    assert [notice.request for notice in careful.notices] == [careful.requests[0].id]


@pytest.mark.parametrize(
    ("key", "told"), [("min_fresh_rows: 5000", "rows"), ("min_fresh_labels: 100", "labels")]
)
def test_a_policy_waits_until_enough_came_in(key: str, told: str) -> None:
    """Rows and labels are counted from the start of the run of bad windows; until then the refusal says how many."""
    rules = parse_rules(DESIGN_RULE.replace("retrain: gpu", f"retrain: {{service: gpu, {key}}}"))
    steps = fold(rules, [window(n) for n in range(4)])
    first = steps[0].requests[0]
    assert first.status is RetrainingStatus.REFUSED
    assert f"{told} came since the trouble began" in first.reason
    later = [request.status for step_ in steps[1:] for request in step_.requests]
    assert later == ([RetrainingStatus.REQUESTED] if told == "rows" else [])
    calm = fold(rules, [window(0), window(1, "healthy"), window(2)])
    assert [request.status for step_ in calm for request in step_.requests] == [RetrainingStatus.REFUSED] * 2
