"""The model registry's contract against a real MLflow server."""

from __future__ import annotations

import pytest

from tests.contract.test_model_registry import keeps_the_contract, make_versions, registry
from tests.servers.story import Story


@pytest.mark.story
@pytest.mark.timeout(400)
def test_a_real_mlflow_keeps_the_contract(mlflow_server: str, story: Story) -> None:
    """What the strict fake promises, MLflow's own REST API keeps."""
    tag_of = make_versions(mlflow_server)
    story.step("MLflow is up, with two versions of a registered model")
    keeps_the_contract(registry(mlflow_server), tag_of)
    story.step("alias read, set, moved and moved back; tags set; what is missing is told")
