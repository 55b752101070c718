"""The long tail through Apprise, by its plainest service: JSON to a web address."""

from __future__ import annotations

import pytest

from mlhealth.alerts.notifiers.registry import notifier
from mlhealth.errors import ConfigError, DeliveryError
from tests.contract.test_notifiers import news
from tests.strict_receiver import Reply, receiver

# Apprise imports a module of the standard library that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def test_a_message_goes_through_apprise() -> None:
    """The title and the story arrive at the address that Apprise was given."""
    pytest.importorskip("apprise")
    with receiver() as server:
        url = server.url.replace("http://", "json://")
        notifier("tail", {"apprise": {"url": url}}).send(news())
        said = server.taken[0].json
    assert said["title"].startswith("[FIRING] loan-default version 3")
    assert "How bad: estimated accuracy" in said["message"]


def test_a_failure_is_retried() -> None:
    """Apprise says only that it failed, so it is tried again."""
    pytest.importorskip("apprise")
    with receiver(lambda request: Reply(500)) as server, pytest.raises(DeliveryError):
        notifier("tail", {"apprise": {"url": server.url.replace("http://", "json://")}}).send(news())


def test_an_address_of_no_service_is_refused_at_start() -> None:
    """An address that Apprise does not know is a mistake in the configuration."""
    pytest.importorskip("apprise")
    with pytest.raises(ConfigError, match="no service"):
        notifier("tail", {"apprise": {"url": "nonsense://x"}})
