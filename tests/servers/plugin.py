"""The pytest plugin: fixtures for real servers, and a line about each at the end of the run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers.browser import browser, chromium, page
from tests.servers.kafka import _kafka_session, kafka, kafka_cluster, secure_kafka
from tests.servers.mlflow_server import mlflow_server
from tests.servers.monitoring import alertmanager, prometheus
from tests.servers.postgres import postgres, postgres_server
from tests.servers.ray_head import ray_head
from tests.servers.registry import OUTCOMES, lines
from tests.servers.schema_registry import schema_registry
from tests.servers.story import story

__all__ = [
    "_kafka_session",
    "alertmanager",
    "browser",
    "chromium",
    "kafka",
    "kafka_cluster",
    "mlflow_server",
    "page",
    "postgres",
    "postgres_server",
    "prometheus",
    "ray_head",
    "schema_registry",
    "secure_kafka",
    "story",
]

_FROM_WORKERS = pytest.StashKey[list[dict[str, str]]]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand a worker's outcomes to the process that prints the summary."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["servers"] = session.config.stash.get(OUTCOMES, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Gather what a worker tells of its servers."""
    outcomes = getattr(node, "workeroutput", {}).get("servers", {})
    node.config.stash.setdefault(_FROM_WORKERS, []).append(outcomes)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in one line each which real servers were started, or why not."""
    told = lines([*config.stash.get(_FROM_WORKERS, []), config.stash.get(OUTCOMES, {})])
    if told:
        terminalreporter.section("real servers")
        for line in told:
            terminalreporter.write_line(line)
