"""A dead man's switch: a call that goes out while mlhealth sees, to a service that raises the alarm when it stays away.

What this process cannot tell any more (it died, its machine is gone, its network is cut) somebody else has to: any
service that takes a request and misses the next one, such as Healthchecks, Dead Man's Snitch or a pager's heartbeat.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mlhealth.alerts.notifiers.http import deliver, json_call
from mlhealth.clock import Clock, to_iso
from mlhealth.config.receivers import DeadManConfig
from mlhealth.errors import MlhealthError
from mlhealth.store.service_alerts import Trouble

LOG = logging.getLogger("mlhealth.alerts")
BLIND = "MonitorBlind"


class DeadMan:
    """Calls every so often; not thread-safe."""

    def __init__(self, config: DeadManConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._called = 0
        self._is_away = False

    def turn(self, found: Sequence[Trouble]) -> bool:
        """Call where it is time and mlhealth is not blind; return whether the call arrived.

        A call that fails is only logged, once: the service misses it, which is what it is for.
        """
        now = self._clock.now()
        if now - self._called < self._config.every or any(trouble.rule == BLIND for trouble in found):
            return False
        self._called = now
        try:
            deliver(json_call(str(self._config.url), {"from": "mlhealth", "at": to_iso(now)}, self._config))
        except MlhealthError as error:
            if not self._is_away:
                LOG.warning("watchdog.dead_man: %s", error)
            self._is_away = True
            return False
        self._is_away = False
        return True
