"""The files in deploy/, docker-compose.yml and the Dockerfile, checked as far as one can without containers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from mlhealth.alerts.rules import Known, load_rules
from mlhealth.config.service import load
from mlhealth.metrics import Metrics
from tests.integration.test_deploy import STARTED

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
RULES = ROOT / "dashboards" / "prometheus" / "mlhealth.yml"
KUBERNETES = "1.31"
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?[\w.-]*")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """docker-compose.yml with its merge keys followed."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def _services(compose: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from compose["services"].items()


def _mounts(service: Mapping[str, Any]) -> list[str]:
    return [str(mount).partition(":")[0] for mount in service.get("volumes", [])]


def _manifests(folder: Path) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


def _run(*command: str, cwd: Path = ROOT) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_compose_file_meets_the_compose_specification(compose: dict[str, Any]) -> None:
    """docker-compose.yml is valid by the Compose Specification's own schema."""
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(compose, json.loads(vendored.read_text()))


def test_every_service_is_pinned_limited_and_unprivileged(compose: dict[str, Any]) -> None:
    """Each service has a pinned image, a user that is not root, limits, and no capability or way to gain one."""
    for name, service in _services(compose):
        assert PINNED.fullmatch(service["image"]), name
        assert int(service["user"].partition(":")[0]) > 0, name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_every_port_is_published_on_loopback_only(compose: dict[str, Any]) -> None:
    """No service can be reached from another machine."""
    ports = [port for _, service in _services(compose) for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_long_running_service_has_a_health_check(compose: dict[str, Any]) -> None:
    """A service that stays up says whether it is healthy (mlhealth's check stands in its image), and is restarted."""
    for name, service in _services(compose):
        if service["restart"] == "no":
            continue
        assert service["restart"] == "unless-stopped"
        assert "healthcheck" in service or service["image"].startswith("mlhealth:"), name
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()


def test_every_long_running_service_keeps_its_data(compose: dict[str, Any]) -> None:
    """What others stand on has a named volume; mlhealth's own processes keep nothing, and their root is read-only."""
    for name, service in _services(compose):
        if service["restart"] == "no":
            continue
        if service["image"].startswith("mlhealth:"):
            assert service["read_only"] is True, name
        else:
            assert [mount for mount in _mounts(service) if mount in compose["volumes"]], name


def test_every_service_is_started_in_a_test_or_said_to_be_unverified(compose: dict[str, Any]) -> None:
    """A new service cannot escape: a test starts its configuration for real, or the list of the unverified names it."""
    unverified = (ROOT / "docs" / "operations" / "unverified.md").read_text()
    left = set(compose["services"]) - STARTED.keys()
    assert STARTED.keys() <= set(compose["services"])
    assert not [name for name in left if f"| compose: `{name}`" not in unverified]
    assert set(re.findall(r"^\| compose: `([\w-]+)`", unverified, re.MULTILINE)) == left


def test_every_dependency_waits_for_what_can_be_waited_for(compose: dict[str, Any]) -> None:
    """`depends_on` names services that exist, and waits for health or completion, never for a mere start."""
    known = dict(_services(compose))
    for name, service in known.items():
        for other, how in service.get("depends_on", {}).items():
            once = known[other]["restart"] == "no"
            wanted = "service_completed_successfully" if once else "service_healthy"
            assert how["condition"] == wanted, (name, other)


def test_every_volume_and_mounted_file_is_there(compose: dict[str, Any]) -> None:
    """Mounted files are in the checkout, named volumes are declared, and none is declared in vain."""
    mounts = [mount for _, service in _services(compose) for mount in _mounts(service)]
    assert all((ROOT / mount).exists() for mount in mounts if mount.startswith("."))
    assert {mount for mount in mounts if not mount.startswith(".")} == set(compose["volumes"])


def test_the_image_is_small_pinned_and_not_root() -> None:
    """Two stages from one pinned image, a numeric user, and only copies of what the builder was sent."""
    text = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(stages) == 2
    assert all(PINNED.fullmatch(stage) for stage in stages)
    assert re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE) == ["10001"]
    assert not re.search(r"^ADD ", text, re.MULTILINE)
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in line.split()
    }
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_copies_every_folder_that_the_wheel_is_made_of() -> None:
    """The rooms at the root are sent to the builder, since the links in mlhealth/ point to them."""
    sent = (ROOT / ".dockerignore").read_text()
    assert all(
        f"!{link.readlink().name}\n" in sent for link in (ROOT / "mlhealth").iterdir() if link.is_symlink()
    )


def test_configuration_loads_with_its_defaults_and_from_the_environment() -> None:
    """deploy/mlhealth.yaml is a configuration, alone and with every variable of docker-compose.yml set."""
    plain = load(DEPLOY / "mlhealth.yaml", {})
    assert plain.listen.port == 8080
    assert plain.sources[0].kafka is not None
    moved = load(DEPLOY / "mlhealth.yaml", {"MLHEALTH_KAFKA": "b:1", "MLHEALTH_STORE": "sqlite:///x.db"})
    assert moved.sources[0].kafka is not None
    assert moved.sources[0].kafka.bootstrap == "b:1"


def test_rules_load_with_the_receivers_of_the_configuration() -> None:
    """deploy/rules.yaml notifies only receivers that deploy/mlhealth.yaml has."""
    config = load(DEPLOY / "mlhealth.yaml", {})
    rules = load_rules(
        config.rules, Known(receivers=tuple(config.receivers), services=tuple(config.training))
    )
    assert rules.rules


def test_prometheus_configuration_is_accepted(tmp_path: Path) -> None:
    """Promtool accepts the configuration and its rules, once the token is where setup.sh puts it."""
    shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus")
    file = tmp_path / "prometheus" / "prometheus.yml"
    (tmp_path / "token").write_text("secret")
    moved = file.read_text().replace("/run/mlhealth-tokens/prometheus", str(tmp_path / "token"))
    file.write_text(moved.replace("/etc/mlhealth/rules", str(RULES.parent)))
    assert "SUCCESS" in _run("promtool", "check", "config", str(file))


def test_prometheus_rules_fire_when_they_should() -> None:
    """The rules about mlhealth itself fire and stay silent on made-up series, and record what is computed by hand."""
    assert "SUCCESS" in _run("promtool", "test", "rules", str(DEPLOY / "prometheus" / "rules_test.yml"))


def test_every_prometheus_rule_has_a_unit_test() -> None:
    """Each alert and each recorded series is asked for in rules_test.yml."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    told = (DEPLOY / "prometheus" / "rules_test.yml").read_text()
    named = [rule.get("alert") or rule["record"] for group in groups for rule in group["rules"]]
    assert len(named) == 17
    assert [name for name in named if name not in told] == []


def test_prometheus_rules_ask_for_metrics_that_exist() -> None:
    """Every mlhealth metric in the rules is one that the service exports."""
    exported = {
        sample
        for metric in Metrics().registry.collect()
        for sample in (metric.name, f"{metric.name}_total", f"{metric.name}_bucket", f"{metric.name}_info")
    }
    asked = set(re.findall(r"(?<!:)\bmlhealth_[a-z_]+", RULES.read_text()))
    assert asked
    assert asked <= exported


def test_alertmanager_configuration_is_accepted() -> None:
    """Amtool accepts the configuration."""
    assert "SUCCESS" in _run("amtool", "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml"))


def test_grafana_provisioning_names_what_compose_mounts(compose: dict[str, Any]) -> None:
    """Boards are read from where compose mounts them, and the data source is a service of it."""
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/mlhealth.yml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert f"./dashboards/grafana:{path}:ro" in compose["services"]["grafana"]["volumes"]
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/mlhealth.yml").read_text())[
        "datasources"
    ]
    assert {s["url"].removeprefix("http://").partition(":")[0] for s in sources} <= set(compose["services"])


def test_every_kind_of_data_source_that_a_board_asks_for_is_provisioned() -> None:
    """Boards choose their data sources by kind, and each kind is there."""
    boards = [json.loads(file.read_text()) for file in (ROOT / "dashboards" / "grafana").glob("*.json")]
    variables = [variable for board in boards for variable in board["templating"]["list"]]
    asked = {variable["query"] for variable in variables if variable["type"] == "datasource"}
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/mlhealth.yml").read_text())[
        "datasources"
    ]
    assert asked
    assert asked <= {source["type"] for source in sources}


@pytest.mark.parametrize("name", ["mlhealth.yaml", "rules.yaml"])
def test_kubernetes_has_the_same_configuration(name: str) -> None:
    """The ConfigMap's files equal those of compose (kustomize reads only below its own folder)."""
    assert (BASE / name).read_text() == (DEPLOY / name).read_text()


def test_kubernetes_manifests_meet_the_schema_of_kubernetes() -> None:
    """Every object of the base is valid, strictly, by the API's own schema."""
    found = _manifests(BASE)
    kinds = {item["kind"] for item in found}
    assert {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "Job", "ConfigMap"} == kinds
    for item in found:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_every_pod_is_pinned_limited_and_unprivileged() -> None:
    """Pods run as a user that is not root, read-only, limited, without a service account, and from a pinned image."""
    pods = [
        item["spec"]["template"]["spec"] for item in _manifests(BASE) if item["kind"] in {"Deployment", "Job"}
    ]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # else MLHEALTH_PORT and its like are set by the cluster
        for container in pod["containers"]:
            assert PINNED.fullmatch(container["image"])
            assert {"cpu", "memory"} == set(container["resources"]["limits"])
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_deployment_has_every_probe_and_survives_a_drained_node() -> None:
    """Startup, liveness and readiness are probed, and the disruption budget leaves a pod of the two."""
    found = {item["kind"]: item for item in _manifests(BASE)}
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert "startupProbe" in container
    budget = found["PodDisruptionBudget"]["spec"]
    assert 0 < budget["minAvailable"] < found["Deployment"]["spec"]["replicas"]
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    setup = found["Job"]["spec"]["template"]["metadata"]["labels"]
    for selector in (budget["selector"]["matchLabels"], found["Service"]["spec"]["selector"]):
        assert selector.items() <= labels.items()
        assert not selector.items() <= setup.items()


def test_scaling_follows_the_lag_of_the_configured_group() -> None:
    """The scaled object watches the group and topic that mlhealth reads; the deployment states no number of pods."""
    found = {item["kind"]: item for item in _manifests(DEPLOY / "kubernetes" / "scale-on-lag")}
    assert "replicas" not in found["Deployment"]["spec"]
    (trigger,) = found["ScaledObject"]["spec"]["triggers"]
    kafka = load(DEPLOY / "mlhealth.yaml", {}).sources[0].kafka
    assert kafka is not None
    assert trigger["metadata"]["consumerGroup"] == kafka.group
    assert trigger["metadata"]["topic"] in kafka.topics


def test_the_topics_that_are_made_are_those_that_are_read(compose: dict[str, Any], tmp_path: Path) -> None:
    """The script of `topics` parses, and makes the topics of the configuration and the one for dead letters."""
    (command,) = compose["services"]["topics"]["command"]
    (tmp_path / "topics.sh").write_text(command.replace("$$", "$"))
    _run("sh", "-n", str(tmp_path / "topics.sh"))
    made = re.search(r"for topic in (.+); do", command)
    kafka = load(DEPLOY / "mlhealth.yaml", {}).sources[0].kafka
    assert made is not None
    assert kafka is not None
    assert set(made[1].split()) == {*kafka.topics, kafka.dead_letters}


@pytest.mark.parametrize("script", ["setup.sh", "demo/run.sh"])
def test_shell_scripts_parse(script: str) -> None:
    """`sh -n` finds no mistake."""
    _run("sh", "-n", str(DEPLOY / script))
