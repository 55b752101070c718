"""A scikit-learn model behind FastAPI that logs every answer to mlhealth.

Run it with `uvicorn examples.serving.fastapi_service:app`, with MLHEALTH_URL and MLHEALTH_TOKEN set. `/predict` takes a
JSON object of features and answers with the class and its probability.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

import numpy as np
from fastapi import FastAPI
from sklearn.linear_model import LogisticRegression

from mlhealth.client import Columns, Http, Logger, Transport

FEATURES = ("income", "debt")


def trained() -> LogisticRegression:
    """Return a model fitted to made-up applications."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, len(FEATURES)))
    return LogisticRegression().fit(rows, rows[:, 1] > rows[:, 0])


def create_app(transport: Transport) -> FastAPI:
    """Return the service; answers are logged over `transport`."""
    model = trained()
    logger = Logger("loans", "3", transport, columns=Columns(prediction="y_pred", score="y_score"))
    service = FastAPI()
    service.state.logger = logger

    @service.post("/predict")
    def predict(features: dict[str, float]) -> dict[str, Any]:
        """Answer one application."""
        row = np.array([[features[name] for name in FEATURES]])
        score = float(model.predict_proba(row)[0, 1])
        prediction = int(score >= 0.5)
        identity = str(uuid.uuid4())
        logger.log(features, prediction, score, id=identity)
        return {"id": identity, "prediction": prediction, "score": score}

    return service


if "MLHEALTH_URL" in os.environ:
    app = create_app(Http(os.environ["MLHEALTH_URL"], os.environ.get("MLHEALTH_TOKEN")))
