"""One contract of model registries: a strict fake of MLflow's API here, the real one in `make e2e STORY=registry`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request as Asked
from urllib.request import urlopen

import pytest

from mlhealth.alerts.mlflow_registry import MlflowRegistry
from mlhealth.alerts.model_registry import promote, roll_back
from mlhealth.config.receivers import MlflowConfig
from mlhealth.errors import DeliveryError, PermanentError
from tests.strict_mlflow import Mlflow, Registered
from tests.strict_receiver import Reply, receiver

MODEL = "loan-default"


def registry(url: str, **more: object) -> MlflowRegistry:
    """Return the registry at an address."""
    return MlflowRegistry(MlflowConfig.model_validate({"url": url, "timeout": "10s", **more}))


def keeps_the_contract(mlflow: MlflowRegistry, tag_of: Callable[[str, str], str]) -> None:
    """Check everything mlhealth asks of a registry that has versions 1 and 2 of the model, and no alias."""
    assert mlflow.deployed(MODEL) is None
    assert promote(mlflow, MODEL, "1").text == "promoted version 1"
    assert mlflow.deployed(MODEL) == "1"
    assert promote(mlflow, MODEL, "2").text == "promoted version 2, was 1"
    assert promote(mlflow, MODEL, "2").version is None
    assert roll_back(mlflow, MODEL, "2", "1").text == "rolled back from version 2 to 1"
    assert roll_back(mlflow, MODEL, "2", "1").text == "version 1 is deployed: nothing to roll back"
    assert (
        roll_back(mlflow, MODEL, "3", "2").text == "not rolled back: version 1 is deployed, neither 3 nor 2"
    )
    assert mlflow.deployed(MODEL) == "1"
    mlflow.tag(MODEL, "2", {"mlhealth.verdict": "not recovered", "mlhealth.request": "r-1"})
    assert tag_of("2", "mlhealth.verdict") == "not recovered"
    with pytest.raises(PermanentError, match="404"):
        mlflow.deployed("nobody")
    with pytest.raises(PermanentError):
        mlflow.deploy(MODEL, "99")


def test_the_strict_registry_keeps_the_contract() -> None:
    """Alias read, set, moved and moved back; tags; what is missing is told."""
    fake = Mlflow({MODEL: Registered({"1": {}, "2": {}})}, token="t0ken")
    with receiver(fake.judge) as server:
        keeps_the_contract(
            registry(server.url, token="t0ken"), lambda v, k: fake.models[MODEL].versions[v][k]
        )


@pytest.mark.parametrize("fault", ["hang", "reset", "half", 429, 503])
def test_what_may_pass_is_retried(fault: str | int) -> None:
    """Timeouts, resets and server errors are errors to retry."""
    with receiver(Mlflow({MODEL: Registered()}).judge) as server:
        server.script = [Reply(fault, b"<html>oops") if isinstance(fault, int) else fault]
        with pytest.raises(DeliveryError):
            registry(server.url, timeout="500ms").deployed(MODEL)


def test_a_page_of_html_is_told() -> None:
    """A proxy's sign-in page is no registry."""
    with receiver() as server:
        server.script = [Reply(200, b"<html>sign in", {"content-type": "text/html"})]
        with pytest.raises(DeliveryError, match="not JSON"):
            registry(server.url).deployed(MODEL)


def make_versions(url: str) -> Callable[[str, str], str]:
    """Register versions 1 and 2 at a real server; return how to read a tag."""

    def post(path: str, data: dict[str, str]) -> dict[str, dict[str, Any]]:
        asked = Asked(f"{url}/api/2.0/mlflow/{path}", json.dumps(data).encode(), method="POST")
        asked.add_header("content-type", "application/json")
        with urlopen(asked, timeout=60) as answer:
            found: dict[str, dict[str, Any]] = json.load(answer)
            return found

    post("registered-models/create", {"name": MODEL})
    run = post("runs/create", {"experiment_id": "0"})["run"]["info"]
    for _ in range(2):
        source = f"{run['artifact_uri']}/model"
        post("model-versions/create", {"name": MODEL, "source": source, "run_id": run["run_id"]})

    def tag_of(version: str, key: str) -> str:
        with urlopen(
            f"{url}/api/2.0/mlflow/model-versions/get?name={MODEL}&version={version}", timeout=60
        ) as a:
            tags = json.load(a)["model_version"]["tags"]
        return next(str(tag["value"]) for tag in tags if tag["key"] == key)

    return tag_of
