"""What the service is made of beside broker and database: inbox, folders, models, rules and receivers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa

from mlhealth.config.service import Config
from mlhealth.config.sources import FilesConfig, InboxConfig
from mlhealth.doctor.findings import Finding, fault, ok, warning
from mlhealth.doctor.network import address_of, no_answer
from mlhealth.errors import ConfigError, MlhealthError, StoreUnavailable
from mlhealth.store import baselines, rejections
from mlhealth.store.database import Database
from mlhealth.store.inbox_tables import inbox_partitions


def check_inbox(database: Database, config: InboxConfig) -> Finding:
    """Return how full the inbox is."""
    t = inbox_partitions.c
    with database.read() as connection:
        rows, size = connection.execute(sa.select(sa.func.sum(t.rows), sa.func.sum(t.bytes))).one()
    rows, size = int(rows or 0), int(size or 0)
    seen = f"{rows} rows ({size / 1024**2:.0f} MiB) wait"
    if rows > 0.9 * config.max_rows or size > 0.9 * config.max_bytes:
        return fault(
            "inbox",
            f"{seen}, and it takes hardly any more",
            "start a worker, or raise max_rows and max_bytes",
        )
    return ok("inbox", seen)


def check_folder(config: FilesConfig) -> Finding:
    """Return whether a folder of files can be read."""
    part = f"folder {config.folder}"
    if not Path(config.folder).is_dir():
        return fault(part, "is not there", "make it, or correct sources.files.folder")
    if not os.access(config.folder, os.R_OK | os.X_OK):
        return fault(part, "cannot be read", "let this user read it")
    return ok(part, "can be read")


def check_models(database: Database, config: Config) -> Iterator[Finding]:
    """Yield whether every model has a baseline that can be read, and whether events come that none speaks for."""
    with database.read() as connection:
        active = {(a.model, a.version): a.baseline for a in baselines.activations(connection)}
        unclaimed = rejections.unclaimed(connection)
    if not active:
        yield fault("models", "no model has a baseline", "fit one and push it: `mlhealth baseline push DIR`")
    for (model, version), name in sorted(active.items()):
        yield _check_baseline(database, model, version, name)
    for model in sorted(set(config.models) - {"default"} - {model for model, _ in active}):
        yield warning(
            f"model {model}", "is configured and has no baseline", "push one, or remove it from `models`"
        )
    for model, version, topic, events, _ in unclaimed:
        if (model, version) not in active:
            seen = f"{events} events came over {topic} and no baseline speaks for them"
            yield warning(f"model {model} version {version}", seen, "run `mlhealth models discover`")


def _check_baseline(database: Database, model: str, version: str, name: str) -> Finding:
    part = f"model {model} version {version}"
    try:
        with database.read() as connection:
            baselines.load(connection, name)
    except MlhealthError as error:
        return fault(part, f"its baseline cannot be read: {error}", "fit and push it again with this version")
    return ok(part, f"baseline {name[:12]} speaks for it")


def check_configuration(config: Config) -> list[Finding]:
    """Return whether rules, receivers and training services fit together, and whether their addresses answer."""
    from mlhealth.app import build

    try:
        build(config).database.close()
    except ConfigError as error:
        return [fault("rules and receivers", str(error), "correct the configuration")]
    except StoreUnavailable as error:
        return [warning("rules and receivers", f"not looked at: {error}", "mend the store first")]
    findings = [
        ok(
            "rules and receivers",
            f"{len(config.receivers)} receivers, {len(config.training)} training services",
        )
    ]
    for kind in ("receivers", "training"):
        blocks: Mapping[str, object] = getattr(config, kind)
        for name, block in blocks.items():
            findings += [_check_url(f"{kind}.{name}", url) for url in sorted(_urls(block))]
    return findings


def _check_url(part: str, url: str) -> Finding:
    host, port = address_of(url)
    refusal = no_answer((host, port))
    if refusal is None:
        return ok(part, f"{host}:{port} answers")
    return fault(part, f"{host}:{port}: {refusal}", "start it, or correct its address")


def _urls(block: object) -> set[str]:
    """Return the addresses in a block of the configuration, which may be nested."""
    if hasattr(block, "model_dump"):
        block = block.model_dump(mode="json")
    if isinstance(block, Mapping):
        return {url for value in block.values() for url in _urls(value)}
    if isinstance(block, list | tuple):
        return {url for value in block for url in _urls(value)}
    return {block} if isinstance(block, str) and block.startswith(("http://", "https://")) else set()
