"""docker-compose.yml as processes: each service with its own configuration, started for real, on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
import yaml
from sqlalchemy import make_url, text
from sqlalchemy.exc import ProgrammingError

from mlhealth.store.database import Database
from mlhealth.store.schema import ensure
from tests.servers.kafka_broker import KafkaCluster, KafkaNode
from tests.servers.kafka_files import missing
from tests.servers.monitoring import HttpServer
from tests.servers.process import LOOPBACK, ServerProcess, free_port, wait_until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent


class ComposeKafka(KafkaCluster):
    """The broker of docker-compose.yml: the image turns KAFKA_A_B=c into a.b=c; only addresses and folders differ."""

    def _properties(self, node: KafkaNode) -> str:
        environment = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["kafka"][
            "environment"
        ]
        settings = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): value
            for name, value in environment.items()
            if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
        }
        controller = f"{LOOPBACK}:{node.controller_port}"
        moved = {
            "controller.quorum.voters": f"{settings['node.id']}@{controller}",
            "listeners": f"PLAINTEXT://{node.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{node.address}",
            "log.dirs": node.folder / "data",
        }
        assert moved.keys() <= settings.keys()
        return "".join(f"{key}={value}\n" for key, value in (settings | moved).items())


@dataclass
class Deployment:
    """The service, started by deploy/mlhealth.yaml, and what its commands need."""

    port: int
    token: str
    environment: dict[str, str]
    process: ServerProcess
    folder: Path

    def get(self, path: str) -> str:
        """Return a page or answer of the service, asked with the token of Prometheus."""
        request = Request(
            f"http://{LOOPBACK}:{self.port}{path}", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        try:
            return '"ok"' in self.get("/readyz")
        except (URLError, ConnectionError, TimeoutError):
            return False


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaCluster]:
    """Kafka with the settings of docker-compose.yml and its two topics."""
    if reason := missing():
        pytest.skip(reason)
    cluster = ComposeKafka(tmp_path / "kafka")
    cluster.start()
    for topic in ("inference-log", "inference-log.dead"):
        cluster.create_topic(topic, partitions=4)
    yield cluster
    cluster.delete()


@pytest.fixture
def deployment(broker: KafkaCluster, postgres: str, tmp_path: Path) -> Iterator[Deployment]:
    """The service after deploy/setup.sh, on Kafka and PostgreSQL."""
    port = free_port()
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "MLHEALTH_STORE": postgres,
        "MLHEALTH_KAFKA": broker.bootstrap,
        "MLHEALTH_LISTEN_HOST": LOOPBACK,
        "MLHEALTH_LISTEN_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    config = str(DEPLOY / "mlhealth.yaml")
    for said in ("setup: tables made", "setup: the token of Prometheus is there already"):
        setup = _run(["sh", str(DEPLOY / "setup.sh"), config, str(tmp_path / "token")], environment, tmp_path)
        assert setup.startswith(said)
    command = [str(BIN / "mlhealth"), "serve", "--config", config]
    process = ServerProcess(command, tmp_path / "mlhealth.log", env=environment)
    running = Deployment(port, (tmp_path / "token").read_text().strip(), environment, process, tmp_path)
    process.start()
    process.wait_ready(running.ready, timeout=120)
    yield running
    process.stop()


def _run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _monitoring(deployment: Deployment, alertmanager: str) -> str:
    """Return deploy/prometheus/prometheus.yml with addresses and files of this machine."""
    settings: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    settings["global"]["scrape_interval"] = "1s"
    settings["rule_files"] = [str(ROOT / "dashboards" / "prometheus" / "*.yml")]
    settings["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [
        alertmanager.partition("//")[2]
    ]
    scraped = settings["scrape_configs"][0]
    del scraped["dns_sd_configs"]
    scraped["static_configs"] = [{"targets": [f"{LOOPBACK}:{deployment.port}"]}]
    scraped["authorization"]["credentials_file"] = str(deployment.folder / "token")
    return yaml.safe_dump(settings)


def _healthy(check: Sequence[str], port: int, environment: dict[str, str] | None = None) -> bool:
    """Whether a health check, as docker-compose.yml or the Dockerfile has it, passes with the port that is asked."""
    kind, *words = check
    command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
    moved = [re.sub(r"(?<=localhost:)\d+|(?<=127\.0\.0\.1:)\d+", str(port), word) for word in command]
    done = subprocess.run(
        moved, env=os.environ | (environment or {}), capture_output=True, check=False, timeout=30
    )
    return done.returncode == 0


def _check_of(service: str) -> list[str]:
    """Return the health check of a service of docker-compose.yml; the image's own for those of mlhealth."""
    found = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][service]
    if "healthcheck" in found:
        return list(found["healthcheck"]["test"])
    shown = re.search(r"^HEALTHCHECK [^\[]*CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert shown is not None
    return ["CMD", sys.executable, *json.loads(shown[1])[1:]]


def _asked(server: HttpServer, path: str) -> dict[str, Any]:
    with urlopen(f"{server.url}{path}", timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_runs_through_every_service(
    deployment: Deployment, prometheus: Callable[[str], HttpServer], alertmanager: Callable[[str], HttpServer]
) -> None:
    """The producer's events become windows, and Prometheus, with the shipped rules, scrapes their health scores."""
    alerts = alertmanager((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    watcher = prometheus(_monitoring(deployment, alerts.url))
    quick = deployment.environment | {
        "DEMO_DAYS": "8",
        "DEMO_ROWS_PER_DAY": "300",
        "DEMO_SPEED": "1000000000",
    }
    shutil.copytree(DEPLOY / "demo", deployment.folder / "demo")
    work = deployment.folder / "work"
    work.mkdir()
    script = str(deployment.folder / "demo" / "run.sh")
    _run(["sh", script, str(DEPLOY / "mlhealth.yaml"), str(work)], quick, work)

    def score() -> list[Any]:
        query = quote('mlhealth_health_score{model="loan-default", segment=""}')
        return list(_asked(watcher, f"/api/v1/query?query={query}")["data"]["result"])

    wait_until(
        lambda: bool(score()),
        what=f"a health score in Prometheus ({deployment.process.log_tail()})",
        timeout=200,
    )
    assert float(score()[0]["value"][1]) > 50
    rows = re.search(r'mlhealth_window_rows\{[^}]*segment=""[^}]*\} (\S+)', deployment.get("/metrics"))
    assert rows is not None
    assert float(rows[1]) == 300
    groups = _asked(watcher, "/api/v1/rules")["data"]["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    assert _asked(alerts, "/api/v2/status")["config"]["original"]
    ports = {"prometheus": watcher.port, "alertmanager": alerts.port, "mlhealth": deployment.port}
    for service, port in ports.items():
        assert _healthy(_check_of(service), port), service
        assert not _healthy(_check_of(service), free_port()), service


def test_the_health_check_of_postgresql_tells_whether_it_answers(postgres: str) -> None:
    """The command of docker-compose.yml passes on a real server and fails where there is none."""
    if shutil.which("pg_isready") is None:
        pytest.skip("pg_isready is not installed (Debian: apt-get install postgresql-client)")
    address = make_url(postgres)
    here = {"PGHOST": str(address.host), "PGPORT": str(address.port)}
    assert _healthy(_check_of("postgres"), 0, here)
    assert not _healthy(_check_of("postgres"), 0, here | {"PGPORT": str(free_port())})


def test_grafana_may_read_reports_and_no_secrets(postgres: str) -> None:
    """The role of deploy/postgres/grafana-reader.sql reads what boards show; tokens and settings stay closed to it."""
    psql = shutil.which("psql") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/psql")), None)
    if psql is None:
        pytest.skip("psql is not installed (Debian: apt-get install postgresql-client)")
    owner = Database.open(postgres)
    ensure(owner)
    owner.close()
    address = postgres.replace("+psycopg", "")
    grant = [psql, address, "--quiet", "--set=ON_ERROR_STOP=1", "--set=password=it's", "--file"]
    for _ in range(2):
        _run([*grant, str(DEPLOY / "postgres" / "grafana-reader.sql")], dict(os.environ), ROOT)
    reader = Database.open(re.sub(r"//[^@]+@", "//grafana_reader:it%27s@", postgres))
    with reader.read() as connection:
        for table in ("reports", "alert_transitions", "retraining_requests", "markers"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0
    for table in ("tokens", "store_settings", "window_profiles", "baselines"):
        with pytest.raises(ProgrammingError, match="permission denied"), reader.read() as connection:
            connection.execute(text(f"SELECT * FROM {table}"))
    reader.close()


STARTED = {
    "kafka": test_the_demo_runs_through_every_service,
    "postgres": test_the_demo_runs_through_every_service,
    "setup": test_the_demo_runs_through_every_service,
    "mlhealth": test_the_demo_runs_through_every_service,
    "producer": test_the_demo_runs_through_every_service,
    "prometheus": test_the_demo_runs_through_every_service,
    "alertmanager": test_the_demo_runs_through_every_service,
    "grafana-reader": test_grafana_may_read_reports_and_no_secrets,
}
"""By which test the configuration of a service of docker-compose.yml is started for real."""
