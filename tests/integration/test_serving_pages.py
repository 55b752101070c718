"""The configuration on each page about a serving system reads what that system logs, over a real broker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from kafka import KafkaProducer

from mlhealth.baseline.record import Baseline
from mlhealth.config.service import Config
from mlhealth.config.sources import KafkaConfig
from mlhealth.fit import fit
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.schema.model_schema import Feature, FeatureType, Storage
from mlhealth.source_factory import Surroundings, sources_of
from mlhealth.store.database import Database
from mlhealth.store.tables import counters, partials
from tests.conftest import ROOT
from tests.e2e.test_story_doors import SEPARATE, halves, registry
from tests.format_writers import WRITERS, Event, Shape
from tests.fuzzing import events
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import wait_until
from tests.servers.stream import Bench, loan_rows, loan_schema

pytestmark = pytest.mark.timeout(300)
SHAPE = Shape("loans", {"income": "FP64", "debt": "FP64", "region": "BYTES"})
PAGES = sorted((ROOT / "docs" / "serving").glob("*.md"))
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BROKER = re.compile(r"\b(?:seldon-)?kafka:9092\b")
ROWS = 20


def shown(page: Path) -> str | None:
    """Return the page's configuration of a Kafka source, None where it shows none."""
    blocks = _YAML.findall(page.read_text(encoding="utf-8"))
    return next((block for block in blocks if "- kafka:" in block), None)


WITH_KAFKA = [page for page in PAGES if shown(page) is not None]


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """A baseline of the model and version that the pages speak of."""
    rows = loan_rows(1_000)
    table = rows.rename_columns(["income" if name == "amount" else name for name in rows.column_names])
    table = table.append_column("debt", table.column("income"))
    kinds = {"income": FeatureType.NUMERIC, "debt": FeatureType.NUMERIC, "region": FeatureType.CATEGORICAL}
    features = tuple(
        Feature(name, kind, Storage.STRING if kind is FeatureType.CATEGORICAL else Storage.FLOAT)
        for name, kind in kinds.items()
    )
    return fit(table, replace(loan_schema("loans", "3"), features=features), methods=["cbpe"])


@pytest.fixture
def bench(tmp_path: Path, baseline: Baseline) -> Iterator[Bench]:
    """A prepared store."""
    made = Bench(Database.open(f"sqlite:///{tmp_path / 'store.db'}"), baseline)
    made.prepare()
    yield made
    made.database.close()


def topics_of(config: KafkaConfig) -> list[str]:
    """Return the topics that a configuration reads: named, or the two that Seldon's pattern is for."""
    if config.pattern is None:
        return list(config.topics)
    names = [f"seldon.production.model.loans.{part}" for part in ("inputs", "outputs")]
    assert all(re.fullmatch(config.pattern, name) for name in names)
    return names


def own_names(value: bytes) -> bytes:
    """Return a line with the names under which the page's example logs prediction and score."""
    return value.replace(b'"y_pred"', b'"prediction"').replace(b'"y_score"', b'"probability"')


def send(producer: Any, config: KafkaConfig, topics: Sequence[str], told: Sequence[Event]) -> int:
    """Send events as the system would, to each of its topics; return how many."""
    kinds = {
        topic: config.models[topic].format if topic in config.models else config.format for topic in topics
    }
    if set(kinds.values()) & set(SEPARATE):
        halves(producer, next(iter(kinds.values())), topics, told, SHAPE)
        return len(told)
    for topic, kind in kinds.items():
        for value in WRITERS[kind](told, SHAPE):
            producer.send(topic, value=own_names(value) if kind == "bentoml" else value)
    return len(told) * len(topics)


@pytest.mark.parametrize("page", WITH_KAFKA, ids=lambda page: page.stem)
def test_a_pages_configuration_reads_its_systems_log(page: Path, kafka: KafkaCluster, bench: Bench) -> None:
    """Every event counts, none is rejected, with the configuration as it stands but for the broker's address."""
    told = [{**event, "debt": 3.5 + i} for i, event in enumerate(events(ROWS, 1))]
    with registry(SHAPE) as address:
        text = _BROKER.sub(kafka.bootstrap, shown(page) or "").replace("http://registry:8081", address)
        config = Config.model_validate(yaml.safe_load(text))
        (source,) = config.sources
        assert source.kafka is not None
        topics = topics_of(source.kafka)
        for topic in topics:
            kafka.create_topic(topic, partitions=2)
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
        sent = send(producer, source.kafka, topics, told)
        producer.flush()
        producer.close()
        bench.config = config
        (made,) = sources_of(config.sources, Surroundings(bench.database, bench.clock))
        worker = bench.worker(made.source)
        made.source.start(worker)
        try:
            wait_until(
                lambda: _turned(worker, bench) >= sent, what=f"{sent} events; {_counts(bench)}", timeout=60
            )
        finally:
            made.source.close()
    assert _counts(bench) == {"accepted": sent}
    assert _missing(bench) == {"income": 0, "debt": 0, "region": 0}


def test_every_page_shows_a_configuration_or_code() -> None:
    """No page about a serving system is without a configuration that is run, but for the logger's, which is code."""
    assert [page.stem for page in PAGES if page not in WITH_KAFKA] == ["python"]


def _turned(worker: Any, bench: Bench) -> int:
    bench.clock.advance(1_000_000)
    worker.turn()
    return sum(_counts(bench).values())


def _missing(bench: Bench) -> dict[str, int]:
    """Return how many values of each feature are missing in all windows."""
    with bench.database.read() as connection:
        blobs = (
            connection.execute(sa.select(partials.c.profile).where(partials.c.segment == "")).scalars().all()
        )
    layout = bench.baseline.layout
    profiles = [WindowProfile.from_bytes(blob, layout) for blob in blobs]
    assert profiles
    return {
        name: sum(int(profile.column(name)[layout.bins[name].missing]) for profile in profiles)
        for name in layout.schema.feature_names
    }


def _counts(bench: Bench) -> dict[str, int]:
    query = sa.select(counters.c.outcome, sa.func.sum(counters.c.events)).group_by(counters.c.outcome)
    with bench.database.read() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query) if row[1]}
