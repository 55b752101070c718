"""Starting a service whose store cannot be used yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import make_url
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential

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
    retrying = Retrying(
        retry=retry_if_exception(
            lambda error: isinstance(error, StoreUnavailable) and _may_come(config.store)
        ),
        wait=wait_exponential(max=LONGEST_PAUSE),
        sleep=sleep,
        before_sleep=_tell,
        reraise=True,
    )
    return retrying(build, config)


def _tell(state: RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    logger.warning("%s; trying again in %g s", error, state.upcoming_sleep)


def _may_come(store: str) -> bool:
    """Whether waiting may help: the store is on a server, or in a file that is there."""
    url = make_url(store)
    return url.drivername != "sqlite" or Path(url.database or "").is_file()
