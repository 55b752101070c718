"""Asking a deployed model over HTTP: the Open Inference Protocol (V2) or MLflow's `/invocations`.

A URL that ends in `/infer` is asked by the Open Inference Protocol: a tensor per feature in, tensors out whose names
are the schema's prediction and score columns, or `predict`, `predict_proba` and the like by position. Any other is
asked as MLflow asks: `{"dataframe_split": …}` in, `{"predictions": […]}` out. Each call carries the header
`mlhealth-probe: 1`, so that the model server can leave probes out of its inference log.

Open Inference Protocol: https://github.com/kserve/open-inference-protocol, `inference_rest.md`.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlhealth import outbound
from mlhealth.errors import DataError, ScorerUnavailable
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.scorers.opening import Answer, ScorerSettings, original_features, read_answer

PROBE_HEADER = ("mlhealth-probe", "1")
MAX_ANSWER = 256 * 2**20
"""Bytes of an answer that are read at most."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody: what answers at the configured address is the scorer."""

    def redirect_request(self, *_: object) -> None:
        """Let a redirect be an error."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def http_scorer(url: str, schema: ModelSchema, settings: ScorerSettings) -> Callable[[pd.DataFrame], Answer]:
    """Return a function that asks the model server at `url`."""
    protocol = _open_inference if url.rstrip("/").endswith("/infer") else _mlflow

    def answer(features: pd.DataFrame) -> Answer:
        body, read = protocol(original_features(features, schema), schema, url)
        return read_answer(read(_post(url, body, settings)), len(features), schema, url)

    return answer


def _post(url: str, body: object, settings: ScorerSettings) -> Any:
    headers = {"content-type": "application/json", PROBE_HEADER[0]: PROBE_HEADER[1], **settings.headers}
    request = urllib.request.Request(url, _json(body), headers, method="POST")  # noqa: S310  http(s) by open_scorer
    outbound.check_url(url)
    try:
        with _OPENER.open(request, timeout=settings.timeout) as response:
            return json.loads(response.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        text = f"scorer {url}: answered {error.code} {error.reason}"
        error.close()
        if error.code >= 500 or error.code == 429:
            raise ScorerUnavailable(text) from None
        raise DataError(f"{text}: does it take the schema's features?") from None
    except (OSError, http.client.HTTPException) as error:
        raise ScorerUnavailable(f"scorer {url}: does not answer: {error}") from None
    except ValueError:
        raise DataError(f"scorer {url}: its answer is not JSON") from None


def _json(body: object) -> bytes:
    return json.dumps(body, allow_nan=False, default=_plain).encode()


def _plain(value: object) -> object:
    """Return a numpy scalar as Python's own; raises TypeError for anything else JSON does not know."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


Read = Callable[[Any], pd.DataFrame]


def _mlflow(features: pd.DataFrame, schema: ModelSchema, url: str) -> tuple[object, Read]:
    rows = features.astype(object).where(features.notna(), None)
    body = {"dataframe_split": {"columns": list(features.columns), "data": rows.to_numpy().tolist()}}

    def read(answer: Any) -> pd.DataFrame:
        predictions = answer.get("predictions") if isinstance(answer, Mapping) else answer
        if isinstance(predictions, Mapping):
            return pd.DataFrame(dict(predictions))
        if not isinstance(predictions, list) or not predictions:
            raise DataError(f"scorer {url}: its answer has no list 'predictions'")
        if isinstance(predictions[0], Mapping):
            return pd.DataFrame(predictions)
        return _by_position(np.asarray(predictions), schema, url)

    return body, read


def _open_inference(features: pd.DataFrame, schema: ModelSchema, url: str) -> tuple[object, Read]:
    body = {"inputs": [_tensor(str(name), features[name]) for name in features.columns]}

    def read(answer: Any) -> pd.DataFrame:
        outputs = answer.get("outputs") if isinstance(answer, Mapping) else None
        if not isinstance(outputs, list) or not outputs:
            raise DataError(f"scorer {url}: its answer has no list 'outputs'")
        tensors = {o["name"]: np.asarray(o["data"]).reshape(o.get("shape", [-1])) for o in outputs}
        named = {name: t.reshape(len(t), -1)[:, 0] for name, t in tensors.items() if t.size == len(t)}
        if schema.prediction in named and all(score in named for score in schema.scores):
            return pd.DataFrame(named)
        widest = max(tensors.values(), key=lambda t: t.ndim)
        return _by_position(widest, schema, url)

    return body, read


def _tensor(name: str, column: pd.Series[Any]) -> dict[str, Any]:
    values = column.to_numpy()
    if values.dtype == np.bool_:
        kind, data = "BOOL", values.tolist()
    elif np.issubdtype(values.dtype, np.integer):
        kind, data = "INT64", values.tolist()
    elif np.issubdtype(values.dtype, np.floating):
        kind, data = "FP64", [None if np.isnan(v) else v for v in values.tolist()]
    else:
        kind, data = "BYTES", [None if v is None or v != v else str(v) for v in values.tolist()]  # noqa: PLR0124
    return {"name": name, "shape": [len(values), 1], "datatype": kind, "data": data}


def _by_position(values: Any, schema: ModelSchema, url: str) -> pd.DataFrame:
    """Return a frame from bare numbers: predictions, probabilities of the positive class, or one column per class."""
    table = np.asarray(values)
    table = table.reshape(len(table), -1)
    if schema.scores and table.shape[1] == len(schema.classes):
        chosen = np.asarray(schema.classes)[table.astype(np.float64).argmax(axis=1)]
        scores = table[:, -1:] if len(schema.scores) == 1 else table
        return pd.DataFrame({schema.prediction: chosen, **dict(zip(schema.scores, scores.T, strict=True))})
    if schema.scores and table.shape[1] == 1 and len(schema.scores) == 1 and _fractions(table):
        chosen = np.asarray(schema.classes)[(table[:, 0].astype(np.float64) >= 0.5).astype(int)]
        return pd.DataFrame({schema.prediction: chosen, schema.scores[0]: table[:, 0]})
    if table.shape[1] == 1 and not schema.scores:
        return pd.DataFrame({schema.prediction: table[:, 0]})
    wanted = ", ".join((schema.prediction, *schema.scores))
    raise DataError(f"scorer {url}: its answer has {table.shape[1]} unnamed columns; name them {wanted}")


def _fractions(table: Any) -> bool:
    numbers = table.astype(np.float64)
    return bool(((numbers >= 0) & (numbers <= 1)).all() and (numbers != np.round(numbers)).any())
