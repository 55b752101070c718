"""`examine`: all checks of a configuration, in the order in which one depends on another."""

from __future__ import annotations

import sqlalchemy as sa

from mlhealth.clock import Clock
from mlhealth.config.service import Config
from mlhealth.config.sources import InboxConfig
from mlhealth.doctor.findings import Finding, Severity
from mlhealth.doctor.kafka_checks import Checkpoints, check_kafka
from mlhealth.doctor.service_checks import check_configuration, check_folder, check_inbox, check_models
from mlhealth.doctor.store_checks import check_store
from mlhealth.doctor.upkeep_checks import check_upkeep
from mlhealth.events.messages import Partition
from mlhealth.store.database import Database
from mlhealth.store.tables import partitions


def examine(config: Config, clock: Clock) -> list[Finding]:
    """Return what was found, nothing being changed; raises ConfigError where `store` is no address at all."""
    database = Database.open(config.store)
    try:
        findings = check_store(database, clock)
        is_ready = any(f.part == "schema" and f.severity is Severity.OK for f in findings)
        findings += _check_sources(config, database if is_ready else None, clock)
        if is_ready:
            findings += check_models(database, config)
            findings += check_configuration(config)
            findings += check_upkeep(database, config, clock.now())
    finally:
        database.close()
    return findings


def _check_sources(config: Config, database: Database | None, clock: Clock) -> list[Finding]:
    findings: list[Finding] = []
    read = None if database is None else _checkpoints(database, clock)
    for source in config.sources:
        if source.kafka is not None:
            findings += check_kafka(source.kafka, read)
        if source.files is not None:
            findings.append(check_folder(source.files))
    inbox = next((s.inbox for s in config.sources if s.inbox), None) or (
        None if config.sources else InboxConfig()
    )
    if inbox is not None and database is not None:
        findings.append(check_inbox(database, inbox))
    return findings


def _checkpoints(database: Database, clock: Clock) -> Checkpoints:
    t = partitions.c
    with database.read() as connection:
        rows = connection.execute(sa.select(t.topic, t.partition, t.next_offset, t.progressed)).all()
    return Checkpoints(
        {Partition(r.topic, r.partition): (r.next_offset, r.progressed) for r in rows}, clock.now()
    )
