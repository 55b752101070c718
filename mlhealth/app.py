"""The composition root: a configuration in, the running parts of the service out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlhealth import outbound
from mlhealth.alerts.approval import ApprovalLinks
from mlhealth.alerts.dispatch import Options
from mlhealth.alerts.mlflow_registry import configured_registry
from mlhealth.alerts.model_registry import ModelRegistry
from mlhealth.alerts.retraining.follower import Options as FollowOptions
from mlhealth.alerts.rules import RuleSet
from mlhealth.alerts.service import AlertService, More, RuleBook
from mlhealth.clock import Clock, SystemClock
from mlhealth.config.service import Config
from mlhealth.errors import ConfigError, MlhealthError
from mlhealth.metrics import Metrics
from mlhealth.open_windows import check_lengths
from mlhealth.queries.alerts import AlertQueries
from mlhealth.source_factory import Surroundings, inbox_config, inbox_of, sources_of, worker_name
from mlhealth.sources.base import Source
from mlhealth.sources.several import SeveralSources
from mlhealth.store import schema
from mlhealth.store.database import Database
from mlhealth.store.tokens import Tokens
from mlhealth.versions.promotion import Promotion
from mlhealth.versions.steward import Steward
from mlhealth.worker.closing import Closer, Idleness
from mlhealth.worker.intake import Intake
from mlhealth.worker.loop import Fault, Pace, Parts, Worker
from mlhealth.worker.models import Models

if TYPE_CHECKING:
    from mlhealth.api.door import Door


@dataclass(frozen=True)
class Service:
    """What the parts of one process share."""

    config: Config
    database: Database
    metrics: Metrics
    clock: Clock
    alerts: AlertService
    rules: RuleBook


def build(config: Config, *, clock: Clock | None = None) -> Service:
    """Open the store and check everything that can be checked before anything runs.

    Raises ConfigError, and StoreUnavailable where the store cannot be written.
    """
    database = Database.open(config.store)
    try:
        schema.ensure(database)
        metrics = Metrics(firing=lambda: AlertQueries(database).firing_labels())
        return _built(config, database, metrics, clock or SystemClock())
    except MlhealthError:
        database.close()
        raise


def rebuilt(service: Service, config: Config) -> Service:
    """Return a service over the same store and metrics by another configuration; raises ConfigError."""
    return _built(config, service.database, service.metrics, service.clock)


def _built(config: Config, database: Database, metrics: Metrics, ticking: Clock) -> Service:
    check_lengths(database, config)
    outbound.use(config.outbound)
    told = metrics.notifications
    options = Options(
        base_url=config.address,
        clock=ticking,
        count=lambda receiver, outcome, notices: told.labels(receiver, outcome).inc(notices),
        links=ApprovalLinks(Tokens(database).session_secret(), config.address),
    )
    retrained = metrics.retrain_triggers
    registry = configured_registry(config.registry)
    follow = FollowOptions(
        registry=registry,
        clock=ticking,
        count=lambda service, outcome: retrained.labels(service, outcome).inc(),
    )
    more = More(follow, config.watchdog, _steward(config, database, registry, ticking))
    alerts = AlertService(database, config.receivers, config.training, options, more)
    return Service(config, database, metrics, ticking, alerts, RuleBook(config.rules, alerts.known))


def _steward(
    config: Config, database: Database, registry: ModelRegistry | None, clock: Clock
) -> Steward | None:
    """Return who looks after champions; None where no model has a policy. Raises ConfigError."""
    policies = {name: model.promotion for name, model in config.models.items() if model.promotion}
    for name, policy in policies.items():
        for receiver in policy.notify:
            if receiver not in config.receivers:
                raise ConfigError(f"models.{name}.promotion.notify: there is no receiver {receiver}")
    if not policies:
        return None
    promotion = Promotion(database, registry, clock)
    return Steward(database, lambda model: config.model(model).promotion, promotion, clock)


def worker(service: Service, fault: Fault = lambda _: None) -> Worker:
    """Return the worker of a service; its source connects when it runs."""
    found = sources_of(service.config.sources, Surroundings(service.database, service.clock))
    source = found[0].source if len(found) == 1 else SeveralSources([one.source for one in found])
    return worker_on(service, source, max(one.idle for one in found), fault)


def door(service: Service) -> Door | None:
    """Return where events come in over HTTP, None where no source reads the inbox."""
    from mlhealth.api.door import Door

    config = inbox_config(service.config.sources)
    if config is None:
        return None
    return Door(inbox_of(config, service.database), service.clock, config.max_message_bytes)


def worker_on(service: Service, source: Source, idle: int, fault: Fault = lambda _: None) -> Worker:
    """Return a worker that reads `source`, whose partitions count as idle after `idle` microseconds."""
    config = service.config
    models = Models(service.database, config)

    def rules() -> RuleSet:
        service.rules.reload()
        return service.rules.rules

    closer = Closer(service.database, models, rules, Idleness(lambda: source.ends(source.partitions()), idle))
    parts = Parts(service.database, source, models, Intake(models), closer, service.clock, service.metrics)
    return Worker(parts, worker_name(), Pace(config.checkpoint, config.buffer_bytes), fault)
