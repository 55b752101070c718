"""Alerting from a configuration: rules re-read, mistakes told before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlhealth.alerts.dispatch import Options
from mlhealth.alerts.rules import Known
from mlhealth.alerts.service import AlertService, RuleBook
from mlhealth.errors import ConfigError
from tests.alert_rules import DESIGN_RULE, store

GPU = {"webhook": {"url": "http://127.0.0.1:1"}}


def touch(path: Path, text: str) -> None:
    """Change a file in a way that its times show."""
    path.write_text(text)
    later = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(later, later))


def test_changed_rules_come_into_force_and_wrong_ones_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A changed file is re-read; one with a mistake leaves the rules before it in force, with one line in the log."""
    path = tmp_path / "rules.yaml"
    path.write_text(DESIGN_RULE)
    book = RuleBook([str(path)], Known({"oncall"}, {"gpu"}))
    assert not book.reload()
    touch(path, DESIGN_RULE.replace("PredictedAccuracyDrop", "Renamed"))
    assert book.reload()
    assert [rule.alert for rule in book.rules.rules] == ["Renamed"]
    touch(path, DESIGN_RULE.replace("[oncall]", "[nobody]"))
    assert not book.reload()
    assert [rule.alert for rule in book.rules.rules] == ["Renamed"]
    assert "there is no receiver nobody" in (book.problem or "")
    assert sum("changed rules are refused" in record.message for record in caplog.records) == 1
    path.unlink()
    assert not book.reload()
    assert [rule.alert for rule in book.rules.rules] == ["Renamed"]


def test_without_files_the_shipped_rules_are_in_force() -> None:
    """A configuration that names no rules gets the defaults."""
    assert RuleBook([], Known()).rules.get("EstimatedHarm") is not None


@pytest.mark.parametrize(
    ("receivers", "training", "told"),
    [
        ({"oncall": {"webhok": {}}}, {}, r"receivers\.oncall\.webhok"),
        ({"oncall": {}}, {}, r"receivers\.oncall: name exactly one kind of webhook"),
        ({"oncall": {"webhook": {"url": "nowhere"}}}, {}, r"receivers\.oncall\.webhook\.url"),
        ({"oncall": {"slack": {"token": "t"}}}, {}, "a token needs a channel"),
        ({"oncall": {"webhook": {"url": "http://x", "secret": "file:/none"}}}, {}, "cannot be read"),
        (
            {},
            {"gpu": GPU | {"ray": {"url": "http://x", "entrypoint": "e"}}},
            r"training\.gpu: name exactly one",
        ),
        ({}, {"gpu": {"kubernetes": {"template": "/none.yaml"}}}, "none.yaml: cannot be read"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    receivers: dict[str, object], training: dict[str, object], told: str, tmp_path: Path
) -> None:
    """Each mistake in receivers and training services is one line naming the key."""
    database = store(tmp_path)
    with pytest.raises(ConfigError, match=told) as caught:
        AlertService(database, receivers, training, Options())  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    database.close()


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    """A secret written as file:… is read from it, without its line end."""
    from mlhealth.alerts.notifiers.registry import receiver_config

    (tmp_path / "secret").write_text("hush\n")
    given = {"webhook": {"url": "http://x", "secret": f"file:{tmp_path / 'secret'}"}}
    config = receiver_config("oncall", given)
    assert config.webhook is not None
    assert config.webhook.secret is not None
    assert config.webhook.secret.get_secret_value() == "hush"
    assert "hush" not in repr(config)
