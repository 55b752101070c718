"""Alerts in a real Alertmanager, and back out of it."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import numpy as np

from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.engine import START, step
from mlhealth.alerts.notifiers.registry import notifier
from mlhealth.clock import SystemClock
from mlhealth.config.receivers import ReceiverConfig
from mlhealth.store.alert_tables import record
from tests.alert_rules import design_rules, store, window
from tests.servers.monitoring import Factory
from tests.servers.process import wait_until
from tests.strict_receiver import receiver

CONFIGURATION = """
route: {{receiver: pager, group_by: [model], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: pager, webhook_configs: [{{url: "{url}"}}]}}]
"""


def test_an_alert_fires_and_resolves_through_a_real_alertmanager(
    alertmanager: Factory, tmp_path: Path
) -> None:
    """Alertmanager takes our alert, routes it on with our labels, and resolves it when we say so."""
    database = store(tmp_path)
    with receiver() as pager:
        server = alertmanager(CONFIGURATION.format(url=pager.url))
        config = ReceiverConfig.model_validate({"alertmanager": {"url": server.url}})
        receivers = {"oncall": Receiver(notifier("oncall", config), config)}
        dispatcher = Dispatcher(
            database, receivers, Options("https://mlhealth.example", rng=np.random.default_rng(1))
        )
        outcome = step(design_rules(), window(0), START)
        with database.begin() as connection:
            record(connection, outcome, SystemClock().now())
        dispatcher.turn()
        with urlopen(f"{server.url}/api/v2/alerts", timeout=5) as answer:
            listed = json.load(answer)
        assert [a["labels"]["alertname"] for a in listed] == ["PredictedAccuracyDrop"]
        assert listed[0]["annotations"]["summary"] == "loan-default answers 81.2 % right, was 87.1 %"
        wait_until(lambda: bool(pager.taken), what="the page", timeout=20)
        assert pager.taken[0].json["alerts"][0]["labels"]["severity"] == "page"
        with database.begin() as connection:
            record(connection, step(design_rules(), window(1, "healthy"), outcome.state), SystemClock().now())
        dispatcher.turn()
        wait_until(lambda: pager.taken[-1].json["status"] == "resolved", what="the resolution", timeout=20)
    database.close()
