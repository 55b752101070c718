"""What the pages about alerts, receivers and training services show is executed here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from mlhealth import app
from mlhealth.alerts.dispatch import Options
from mlhealth.alerts.mlflow_registry import configured_registry
from mlhealth.alerts.notifiers.registry import notifier
from mlhealth.alerts.retraining.follower import Options as FollowOptions
from mlhealth.alerts.retraining.registry import training_service
from mlhealth.alerts.rule_tests import run
from mlhealth.alerts.rules import parse_rules
from mlhealth.alerts.service import AlertService, More
from mlhealth.config import service as config
from mlhealth.config.receivers import RECEIVER_KINDS, TRAINING_KINDS
from tests.alert_rules import store
from tests.contract import test_notifiers, test_training_services
from tests.strict_receiver import receiver

DOCS = Path(__file__).parents[2] / "docs"
ENVIRONMENT = {
    "ONCALL_SECRET": test_notifiers.SECRET,
    "PAGERDUTY_ROUTING_KEY": test_notifiers.ROUTING_KEY,
    "SLACK_WEBHOOK": "https://hooks.slack.example/services/T/B/X",
    "SLACK_BOT_TOKEN": "xoxb-not-real",
    "TEAMS_WORKFLOW_URL": "https://teams.example/workflow",
    "SMTP_PASSWORD": "not real",
    "APPRISE_URL": "json://127.0.0.1:1",
    "TRAINING_SECRET": test_training_services.SECRET,
    "TRAINING_TOKEN": "t0ken",
    "MLFLOW_TOKEN": "t0ken",
}


def blocks(page: Path) -> list[str]:
    """Return the YAML blocks of a page."""
    return re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)


def configured(text: str, folder: Path) -> config.Config:
    """Return the configuration that a page shows, read as the service reads it."""
    path = folder / "mlhealth.yaml"
    path.write_text(text)
    return config.load(path, ENVIRONMENT)


# Apprise imports a module of the standard library that is on its way out.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", RECEIVER_KINDS)
def test_every_receivers_page_can_be_copied(kind: str, tmp_path: Path) -> None:
    """Each receiver has a page; its examples make a notifier; the first one delivers to the strict receiver."""
    examples = blocks(DOCS / "receivers" / f"{kind}.md")
    assert examples
    for text in examples:
        given = configured(text, tmp_path).receivers["oncall"]
        made = notifier("oncall", given)
        assert made.kind == kind
    if kind in test_notifiers.CASES:
        with receiver(test_notifiers.CASES[kind].judge) as server:
            shown = yaml.safe_load(examples[0])["receivers"]["oncall"][kind]
            filled = {k: ENVIRONMENT.get(str(v)[2:-1], v) for k, v in shown.items()}
            address = test_notifiers.CASES[kind].config(server.url)
            notifier(
                "oncall", {kind: filled | {k: address[k] for k in ("url", "webhook") if k in address}}
            ).send(test_notifiers.news())
            assert len(server.taken) == 1


@pytest.mark.parametrize("kind", TRAINING_KINDS)
def test_every_training_services_page_can_be_copied(kind: str, tmp_path: Path) -> None:
    """Each training service has a page whose example makes an adapter; over HTTP it takes a request to the fake."""
    first, *rest = blocks(DOCS / "training" / f"{kind}.md")
    if kind == "kubernetes":
        (tmp_path / "train.yaml").write_text(rest[0])
    given = configured(first, tmp_path).training["gpu"]
    assert training_service("gpu", given).kind == kind
    if kind in test_training_services.CASES:
        case, jobs = test_training_services.CASES[kind], test_training_services.TrainingJobs()
        shown = getattr(given, kind)
        with receiver(case.judge(jobs)) as server:
            there = {k: v for k, v in case.config(server.url, tmp_path).items() if k in ("url", "token")}
            told = shown.model_dump(exclude_unset=True) | there
            plain = {k: v.get_secret_value() if isinstance(v, SecretStr) else v for k, v in told.items()}
            service = training_service("gpu", {kind: plain | {"timeout": "10s"}})
            taken = service.submit(test_training_services.request())
        assert taken.job
        assert len(jobs.jobs) == 1


def test_the_registrys_page_can_be_copied(tmp_path: Path) -> None:
    """The page about the model registry configures one, and a training service that acts on it."""
    (text,) = blocks(DOCS / "training" / "registry.md")
    given = configured(text, tmp_path)
    registry = configured_registry(given.registry)
    service = AlertService(store(tmp_path), {}, given.training, Options(), More(FollowOptions(registry)))
    assert service.known.services == {"gpu"}


def test_the_configurations_on_the_page_about_alerts_are_read(tmp_path: Path) -> None:
    """Training policies and the watchdog are configured as the page shows."""
    shown = [t for t in blocks(DOCS / "alerts.md") if t.startswith(("training:", "receivers:"))]
    assert len(shown) == 2
    for text in shown:
        given = configured(text, tmp_path)
        AlertService(
            store(tmp_path), given.receivers, given.training, Options(), More(watchdog=given.watchdog)
        )


def test_the_promotion_policy_on_the_page_about_versions_is_read(tmp_path: Path) -> None:
    """A service starts with the policy as the page shows it."""
    (text,) = blocks(DOCS / "versions.md")
    service = app.build(configured(text, tmp_path))
    policy = service.config.model("loan-default").promotion
    assert policy is not None
    assert (policy.windows, policy.rollback) == (24, True)
    service.database.close()


def test_the_rules_shown_are_read_and_their_tests_pass(tmp_path: Path) -> None:
    """Every rules file on the page about alerts loads, and the test file on it passes."""
    shown = blocks(DOCS / "alerts.md")
    rules = [text for text in shown if text.startswith("rules:\n")]
    assert len(rules) == 3
    for text in rules:
        parse_rules(text)
    (tmp_path / "rules.yaml").write_text(rules[0])
    tests = tmp_path / "tests.yaml"
    tests.write_text(next(text for text in shown if text.startswith("rules: [")))
    assert run(tests) == (1, [])
