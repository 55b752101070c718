"""Starting a service whose database server may not be there yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from mlhealth.app import Service, build
from mlhealth.config.service import Config
from mlhealth.errors import StoreUnavailable

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0


def build_when_reachable(config: Config, sleep: Callable[[float], None] = time.sleep) -> Service:
    """Return the service as `build` does, once its database server answers: asked again after 1, 2, 4 … 30 seconds.

    A file that cannot be opened is no server that is still to come: StoreUnavailable is raised at once.
    """
    pause = 1.0
    while True:
        try:
            return build(config)
        except StoreUnavailable as error:
            if config.store.startswith("sqlite"):
                raise
            logger.warning("%s; trying again in %g s", error, pause)
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
