"""The long tail - Opsgenie, Discord, ntfy, Matrix and a hundred more - through Apprise (mlhealth[apprise]).

Apprise says only whether it worked, so every failure is tried again. Addresses: https://github.com/caronc/apprise/wiki
"""

from __future__ import annotations

from typing import ClassVar

import apprise

from mlhealth.alerts.notifiers.base import Delivered, Notification, Notifier, lines_of, worded_links
from mlhealth.config.receivers import AppriseConfig
from mlhealth.errors import ConfigError, DeliveryError


class AppriseNotifier(Notifier):
    """Sends to one address of Apprise's."""

    kind: ClassVar[str] = "apprise"

    def __init__(self, config: AppriseConfig) -> None:
        self._service = apprise.Apprise()
        if not self._service.add(config.url.get_secret_value()):
            raise ConfigError("apprise: the address is of no service that Apprise knows")

    def send(self, notification: Notification) -> Delivered:
        body = "\n\n".join(
            "\n".join([*lines_of(notice), *(f"{word}: {link}" for word, link in links.items())])
            for notice in notification.notices
            for links in [worded_links(notice, notification.base_url)]
        )
        kind = apprise.NotifyType.FAILURE if notification.firing else apprise.NotifyType.SUCCESS
        if not self._service.notify(
            body=body.replace("\x00", ""), title=notification.title, notify_type=kind
        ):
            raise DeliveryError("Apprise could not hand the message over")
        return Delivered()
