"""Housekeeping of the store: retention as configured, and PostgreSQL's months, now and once an hour."""

from __future__ import annotations

import logging
import threading

from mlhealth.clock import Clock
from mlhealth.config.service import Config
from mlhealth.errors import MlhealthError
from mlhealth.store.database import Database
from mlhealth.store.months import keep_months
from mlhealth.store.retention import Ages, Retained, retain
from mlhealth.store.upkeep import Upkeep, note

logger = logging.getLogger(__name__)

EVERY_SECONDS = 3600.0


def ages_of(config: Config, model: str) -> Ages:
    """Return what is kept of a model for how long: what its late labels join is never let go before they may come."""
    kept = config.retention
    block = config.model(model)
    horizon = block.labels.horizon

    def at_least(age: int | None) -> int | None:
        return None if age is None else max(age, horizon)

    return Ages(
        at_least(kept.samples),
        at_least(kept.windows),
        kept.reports,
        kept.days,
        kept.rejections,
        tile=None if block.slide is None else block.window,
    )


def keep_house(database: Database, config: Config, now: int) -> Retained:
    """Do all of it once; raises StoreUnavailable."""
    done = retain(database, lambda model: ages_of(config, model), now)
    if not database.is_sqlite:
        with database.begin() as connection:
            keep_months(connection, now)
    with database.begin() as connection:
        note(connection, Upkeep.HOUSEKEEPING, now)
    return done


class Housekeeper:
    """Keeps house in a thread of its own, from when it starts until `stop`."""

    def __init__(self, database: Database, config: Config, clock: Clock) -> None:
        self._database = database
        self._config = config
        self._clock = clock

    def start(self, stop: threading.Event) -> threading.Thread:
        """Begin."""
        thread = threading.Thread(target=self._run, args=(stop,), name="mlhealth-housekeeping", daemon=True)
        thread.start()
        return thread

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                done = keep_house(self._database, self._config, self._clock.now())
                if done != Retained():
                    logger.info("retention: %s", done)
            except MlhealthError as error:
                logger.warning("housekeeping failed and is tried again in an hour: %s", error)
            stop.wait(EVERY_SECONDS)
