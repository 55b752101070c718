"""The doctor names real faults, each in one line with what to do, and is silent about what is well."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import sqlalchemy as sa
from kafka import KafkaProducer
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from typer.testing import CliRunner

from mlhealth.cli import app
from mlhealth.clock import DAY, HOUR, SystemClock
from mlhealth.store import baselines, schema
from mlhealth.store.database import Database
from mlhealth.store.tables import partitions
from tests.report_builder import Story
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.kafka_security import PASSWORD, USER, BrokerSecurity
from tests.servers.process import free_port
from tests.servers.stream import loan_baseline
from tests.store_builder import FilledStore


@dataclass
class Installation:
    """A configuration on disk, and the store it names."""

    folder: Path
    store: str
    blocks: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "mlhealth.yaml"

    def prepare(self) -> None:
        """Make the store, with a model that has a baseline."""
        database = self.open()
        schema.ensure(database)
        with database.begin() as connection:
            baselines.push(connection, baseline := loan_baseline(), 0)
            baselines.activate(connection, baseline.hash, 0)
        database.close()

    def open(self) -> Database:
        """Open the store."""
        return Database.open(self.store)

    def execute(self, statement: str, **values: object) -> None:
        """Change the store."""
        database = self.open()
        with database.begin() as connection:
            connection.execute(sa.text(statement), values)
        database.close()

    def examine(self) -> tuple[int, dict[str, dict[str, str]]]:
        """Run the doctor; return its exit code, and its findings by part."""
        self.config.write_bytes(orjson.dumps({"store": self.store, **self.blocks}))
        done = CliRunner().invoke(app, ["doctor", "-c", str(self.config), "--json"])
        assert not isinstance(done.exception, Exception), done.exception
        findings = [orjson.loads(line) for line in done.stdout.splitlines()]
        assert all("\n" not in f["seen"] and (f["remedy"] or f["severity"] == "ok") for f in findings)
        return done.exit_code, {f["part"]: f for f in findings}

    def fault(self, part: str) -> str:
        """Run the doctor and return what it says of a part in which it finds a fault."""
        code, findings = self.examine()
        assert code == 1
        assert findings[part]["severity"] == "fault", findings
        return f"{findings[part]['seen']}; {findings[part]['remedy']}"


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """An installation on SQLite that reads its inbox."""
    made = Installation(tmp_path, f"sqlite:///{tmp_path / 'store.db'}")
    made.prepare()
    return made


@pytest.fixture
def over_postgres(tmp_path: Path, postgres: str) -> Installation:
    """An installation on PostgreSQL."""
    made = Installation(tmp_path, postgres)
    made.prepare()
    return made


@pytest.fixture(scope="module")
def topic(secure_kafka: KafkaCluster) -> str:
    """A topic with messages, which the user may read in group `mlhealth`."""
    name = secure_kafka.create_topic(f"doctor-{uuid4().hex[:8]}", partitions=2)
    producer: Any = KafkaProducer(bootstrap_servers=secure_kafka.bootstrap)
    for number in range(4):
        producer.send(name, value=b"{}", partition=number % 2)
    producer.flush(timeout=30)
    producer.close()
    admin = secure_kafka.admin()
    for kind, resource in ((ResourceType.TOPIC, name), (ResourceType.GROUP, "mlhealth")):
        pattern = ResourcePattern(kind, resource)
        admin.create_acls([ACL(f"User:{USER}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, pattern)])
    admin.close()
    return name


def reading(cluster: KafkaCluster, topic: str, **changes: Any) -> list[dict[str, Any]]:
    """Return the sources of a reader of one topic, over TLS and SASL."""
    guard = cluster.security
    assert isinstance(guard, BrokerSecurity)
    security = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-256", "username": USER, "password": PASSWORD}
    security |= {"ca_file": str(guard.ca_file)} | changes.pop("security", {})
    return [{"kafka": {"bootstrap": guard.sasl, "topics": [topic], "security": security, **changes}}]


def test_all_is_well(here: Installation) -> None:
    """Nothing is found at an installation that works, and the exit code is 0."""
    code, findings = here.examine()
    assert (code, {f["severity"] for f in findings.values()}) == (0, {"ok"})
    assert {"store", "schema", "store writes", "disk", "clock", "inbox", "model loans version 1"} <= set(
        findings
    )


def test_a_broker_that_works(here: Installation, secure_kafka: KafkaCluster, topic: str) -> None:
    """Broker, topic and rights are well, and messages that nobody reads are a fault, until a worker does."""
    here.blocks["sources"] = reading(secure_kafka, topic)
    code, findings = here.examine()
    assert {p for p, f in findings.items() if f["severity"] == "fault"} == {"lag"}
    assert "nobody has read for ever" in findings["lag"]["seen"]
    now = SystemClock().now()
    for number in (0, 1):
        row = {"topic": topic, "partition": number, "next_offset": 2, "progressed": now, "owner": "x"}
        database = here.open()
        with database.begin() as connection:
            connection.execute(sa.insert(partitions).values(row))
        database.close()
    code, findings = here.examine()
    assert (code, findings["lag"]["seen"], findings["rights"]["severity"]) == (0, "0 messages wait", "ok")


def test_a_broker_that_is_down(here: Installation) -> None:
    """A broker that nobody answers for."""
    port = free_port()
    here.blocks["sources"] = [{"kafka": {"bootstrap": f"127.0.0.1:{port}", "topics": ["a"]}}]
    assert "connection refused; start the broker" in here.fault(f"broker 127.0.0.1:{port}")


def test_a_missing_topic(here: Installation, secure_kafka: KafkaCluster) -> None:
    """A topic that is not there, as an administrator sees it."""
    here.blocks["sources"] = [{"kafka": {"bootstrap": secure_kafka.bootstrap, "topics": ["no-such"]}}]
    assert "is not there; create it" in here.fault("topic no-such")


@pytest.mark.parametrize(
    ("security", "said"),
    [
        (
            {"password": "wrong"},
            "ends it at the login of mlhealth; check security.mechanism, username and password",
        ),
        ({"ca_file": None}, "its certificate is not trusted"),
        ({"protocol": "PLAINTEXT", "mechanism": None}, "the listener wants TLS"),
    ],
)
def test_a_login_that_fails(
    here: Installation, secure_kafka: KafkaCluster, topic: str, security: dict[str, Any], said: str
) -> None:
    """A wrong password, an unknown authority and a listener that wants TLS are told apart."""
    here.blocks["sources"] = reading(secure_kafka, topic, security=security)
    code, findings = here.examine()
    (broker,) = [f for name, f in findings.items() if name.startswith("broker")]
    assert (code, broker["severity"]) == (1, "fault")
    assert said in f"{broker['seen']}; {broker['remedy']}"


def test_missing_rights(here: Installation, secure_kafka: KafkaCluster, topic: str) -> None:
    """A group that the user may not use, and a topic that it may not see."""
    here.blocks["sources"] = reading(secure_kafka, topic, group="not-ours")
    assert "may not use group not-ours" in here.fault("rights")
    other = secure_kafka.create_topic(f"hidden-{uuid4().hex[:8]}")
    here.blocks["sources"] = reading(secure_kafka, other)
    assert "may not see it" in here.fault(f"topic {other}")


def test_a_database_that_is_down(tmp_path: Path) -> None:
    """A database that nobody answers for."""
    made = Installation(tmp_path, f"postgresql+psycopg://a@127.0.0.1:{free_port()}/b")
    assert "start it, or correct `store`" in made.fault("store")


def test_an_old_schema(here: Installation) -> None:
    """A store of an older version is told from one of a newer version."""
    here.execute("UPDATE alembic_version SET version_num = '0001'")
    assert "mlhealth store upgrade" in here.fault("schema")
    here.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "upgrade mlhealth" in here.fault("schema")


def test_a_read_only_store(over_postgres: Installation) -> None:
    """A database in read-only mode."""
    name = sa.engine.make_url(over_postgres.store).database
    over_postgres.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert "read-only" in over_postgres.fault("store writes")


def test_a_clock_that_is_off(here: Installation) -> None:
    """Something that was written in the future shows a clock that was set back."""
    later = SystemClock().now() + HOUR
    here.execute("INSERT INTO partitions VALUES ('t', 0, 1, :later, 'w')", later=later)
    assert "3600 s in the future" in here.fault("clock").replace("3599", "3600")


def test_a_store_without_baselines(here: Installation) -> None:
    """Without a baseline nothing is judged; a model that is configured and has none is warned of."""
    here.execute("DELETE FROM baseline_activations")
    here.blocks["models"] = {"loans": {"window": "1h"}}
    assert "mlhealth baseline push" in here.fault("models")
    assert here.examine()[1]["model loans"]["severity"] == "warning"


def test_a_receiver_that_is_away(here: Installation) -> None:
    """A receiver's address that nobody answers at, and rules that name a receiver that is not configured."""
    port = free_port()
    here.blocks["receivers"] = {"oncall": {"webhook": {"url": f"http://127.0.0.1:{port}/x"}}}
    assert "connection refused" in here.fault("receivers.oncall")
    rules = here.folder / "rules.yaml"
    rules.write_text("rules:\n  - alert: Silent\n    when: rows == 0\n    notify: [nobody]\n")
    here.blocks["rules"] = ["rules.yaml"]
    assert "nobody" in here.fault("rules and receivers")


def test_a_full_inbox_and_a_missing_folder(here: Installation) -> None:
    """An inbox that nobody reads, and a folder that is not there."""
    here.execute("INSERT INTO inbox_partitions (partition, rows) VALUES (0, 2000000)")
    assert "takes hardly any more" in here.fault("inbox")
    here.blocks["sources"] = [{"files": {"folder": "nowhere"}}]
    assert "is not there" in here.fault(f"folder {here.folder / 'nowhere'}")


UPKEEP = ("backup", "store retention", "watchers")


def test_a_store_in_use_is_to_be_looked_after(here: Installation) -> None:
    """Without reports nobody need care; with them a copy, hourly retention and somebody who hears are asked for."""
    assert not set(UPKEEP) & here.examine()[1].keys()
    database = here.open()
    FilledStore(database).add_story(Story())
    database.close()
    code, findings = here.examine()
    assert (code, {findings[part]["severity"] for part in UPKEEP}) == (0, {"warning"})
    for words in (("store", "backup", str(here.folder / "copy.db")), ("store", "retain")):
        done = CliRunner().invoke(app, [*words, "-c", str(here.config)])
        assert done.exit_code == 0, done.output
    here.blocks["watchdog"] = {"dead_man": {"url": "https://beat.example.org/x"}}
    code, findings = here.examine()
    assert (code, {findings[part]["severity"] for part in UPKEEP}) == (0, {"ok"})
    here.execute("UPDATE store_settings SET value = '1' WHERE name LIKE 'upkeep.%'")
    assert {here.examine()[1][part]["severity"] for part in UPKEEP[:2]} == {"warning"}


def test_how_long_the_disk_lasts_is_told(here: Installation) -> None:
    """From the second day on the pace of growth says when the disk is full, and what a report takes."""
    database = here.open()
    FilledStore(database).add_story(Story())
    database.close()
    long_ago = SystemClock().now() - 2 * DAY
    here.execute("UPDATE reports SET created = :at", at=long_ago)
    assert "KiB per report" in here.examine()[1]["capacity"]["seen"]


def test_findings_are_lines_for_people(here: Installation) -> None:
    """Without --json each finding is one line that begins with how bad it is."""
    here.config.write_bytes(orjson.dumps({"store": here.store}))
    done = CliRunner().invoke(app, ["doctor", "-c", str(here.config)])
    assert done.exit_code == 0
    assert all(line.split()[0] in {"ok", "warning", "fault"} for line in done.stdout.splitlines())
