"""Starting a service whose store cannot be used yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import make_url

from mlhealth.app import Service, build
from mlhealth.config.service import Config
from mlhealth.errors import StoreUnavailable

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0


def build_when_reachable(config: Config, sleep: Callable[[float], None] = time.sleep) -> Service:
    """Return the service as `build` does, once its store can be used: tried again after 1, 2, 4 … 30 seconds.

    A server may come up later, and the disk of a file that is there may get room again. Where there is no file and none
    can be made, StoreUnavailable is raised at once.
    """
    pause = 1.0
    while True:
        try:
            return build(config)
        except StoreUnavailable as error:
            if not _may_come(config.store):
                raise
            logger.warning("%s; trying again in %g s", error, pause)
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _may_come(store: str) -> bool:
    """Whether waiting may help: the store is on a server, or in a file that is there."""
    url = make_url(store)
    return url.drivername != "sqlite" or Path(url.database or "").is_file()
