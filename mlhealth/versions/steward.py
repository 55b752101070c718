"""Looks after the champions of models that have a promotion policy: compares, and lets the better version take over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.alerts.context import is_better_higher
from mlhealth.clock import DAY, Clock
from mlhealth.config.promotion import PromotionConfig
from mlhealth.errors import MlhealthError, NotFoundError
from mlhealth.queries.versions import VersionLine, Versus, compare, versions
from mlhealth.records import HealthStatus
from mlhealth.store import markers
from mlhealth.store.database import Database
from mlhealth.store.service_alerts import Trouble, end_alert, firing, raise_alert
from mlhealth.store.tables import model_versions, reports
from mlhealth.versions.policy import Challenge, Decision, decide
from mlhealth.versions.promotion import POLICY, Hand, Promotion

LOG = logging.getLogger("mlhealth.alerts")
RULE = "ChampionReplaced"
POLL = 60.0
_TELL_FOR = DAY
Policies = Callable[[str], PromotionConfig | None]


@dataclass(frozen=True)
class _Crown:
    """The champion, since when (wall time; 0: nobody ever named one), and every version that was champion."""

    version: str
    since: int
    past: frozenset[str]


class Steward:
    """Serves every model of a store; `run` in a thread of its own."""

    def __init__(self, database: Database, policies: Policies, promotion: Promotion, clock: Clock) -> None:
        self._database = database
        self._policies = policies
        self._promotion = promotion
        self._clock = clock
        self._seen: dict[str, int] = {}

    def run(self, stop: threading.Event, poll: float = POLL) -> None:
        """Look until told to stop; what fails is tried again at the next look."""
        while not stop.is_set():
            try:
                self.turn()
            except MlhealthError as error:
                LOG.warning("champions and challengers cannot be compared: %s", error)
            stop.wait(poll)

    def turn(self) -> list[Decision]:
        """Look once at the models that closed windows since the last look; return what was decided, by challenger."""
        decisions = []
        for model, closed in self._models().items():
            policy = self._policies(model)
            if policy is None or self._seen.get(model) == closed:
                continue
            decisions += self._look(model, policy)
            self._seen[model] = closed
        self._end_old_news()
        return decisions

    def _models(self) -> Mapping[str, int]:
        """Return the models with two versions or more that live, and when each closed a window last."""
        query = (
            sa.select(model_versions.c.model, sa.func.count())
            .where(model_versions.c.state == "live")
            .group_by(model_versions.c.model)
            .having(sa.func.count() > 1)
        )
        newest = sa.select(reports.c.model, sa.func.max(reports.c.created)).group_by(reports.c.model)
        with self._database.read() as connection:
            names = [row.model for row in connection.execute(query) if self._policies(row.model)]
            rows = connection.execute(newest.where(reports.c.model.in_(names)))
            return {model: int(closed) for model, closed in rows}

    def _look(self, model: str, policy: PromotionConfig) -> list[Decision]:
        lines = [line for line in versions(self._database, model) if line.state == "live"]
        crown = self._crown(model, lines)
        if crown is None:
            return []
        found = {
            line.version: decision
            for line in lines
            if line.version != crown.version
            and (decision := self._decide(model, policy, crown, line.version)) is not None
        }
        ready = {v: d for v, d in found.items() if d.kind != "stay"}
        if ready:
            best = max(ready, key=lambda version: ready[version].lead)
            self._act(model, policy, crown, best, ready[best])
        return list(found.values())

    def _crown(self, model: str, lines: Iterable[VersionLine]) -> _Crown | None:
        """Return the champion: the version crowned last, else the one the registry deploys, else the eldest."""
        with self._database.read() as connection:
            crowned = markers.crowned(connection, model)
        if crowned:
            now = crowned[0]
            return _Crown(now.version, now.created, frozenset(c.version for c in crowned))
        registry = self._promotion.registry
        deployed = None if registry is None else registry.deployed(model)
        version = deployed or min(lines, key=lambda line: line.created).version
        return _Crown(version, 0, frozenset({version}))

    def _decide(self, model: str, policy: PromotionConfig, crown: _Crown, challenger: str) -> Decision | None:
        versus = Versus(model, crown.version, challenger, limit=policy.windows, closed_after=crown.since)
        try:
            found = compare(self._database, versus)
        except NotFoundError:
            return None
        with self._database.read() as connection:
            status = _newest_status(connection, model, challenger)
        return decide(
            policy,
            Challenge(found, status, challenger in crown.past, is_better_higher(found.metric)),
        )

    def _act(
        self, model: str, policy: PromotionConfig, crown: _Crown, version: str, decision: Decision
    ) -> None:
        assert decision.kind != "stay"
        if not crown.since:
            why = "the champion when the first challenger took over"
            self._promotion.mark(model, crown.version, "promote", Hand(POLICY, why))
        said = self._promotion.crown(model, version, decision.kind, Hand(POLICY, decision.reason))
        LOG.info("%s: %s", said, decision.reason)
        verb = "replaced" if decision.kind == "promote" else "took over again from"
        trouble = Trouble(
            rule=RULE,
            model=model,
            version=version,
            summary=f"version {version} of {model} {verb} {crown.version} as champion, as the policy says",
            severity="info",
            owner="nobody has to act; the model's owners may want to know",
            reasons=(decision.reason,),
            done=(said,),
        )
        now = self._clock.now()
        with self._database.begin() as connection:
            raise_alert(connection, trouble, policy.notify, now)

    def _end_old_news(self) -> None:
        """End the alerts of replacements a day after: nobody else would."""
        now = self._clock.now()
        with self._database.read() as connection:
            old = firing(connection, [RULE], before=now - _TELL_FOR)
        if old:
            with self._database.begin() as connection:
                for trouble in old:
                    end_alert(connection, trouble, now)


def _newest_status(connection: Connection, model: str, version: str) -> HealthStatus:
    t = reports.c
    where = (t.model == model, t.version == version, t.segment == "", t.latest, t.rows > 0)
    query = sa.select(t.status).where(*where).order_by(t.end.desc()).limit(1)
    return HealthStatus(connection.execute(query).scalar_one())
