"""Scorers: a function in a file, a model server, and what happens when they misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlhealth.errors import ConfigError, DataError, ScorerUnavailable
from mlhealth.estimators.rows import Rows, rows_from_table
from mlhealth.schema.model_schema import Feature, FeatureType, Storage
from mlhealth.scorers.opening import ScorerSettings, open_scorer, original_features
from tests.strategies import SCHEMA, batch_of

EVENTS: list[dict[str, Any]] = [
    {
        "income": 1.0,
        "region": "eu",
        "owner": 1,
        "y_pred": 1,
        "y_score": 0.9,
        "ts": 1_700_000_000,
        "event_id": "a",
    },
    {
        "income": None,
        "region": None,
        "owner": 0,
        "y_pred": 0,
        "y_score": 0.2,
        "ts": 1_700_000_000,
        "event_id": "b",
    },
]
FUNCTION = """
def score(frame):
    assert frame["owner"].dtype.kind == "i" and list(frame.columns) == ["income", "region", "owner"]
    return frame.assign(y_score=0.1 + 0.8 * frame["owner"], y_pred=frame["owner"])[["y_pred", "y_score"]]
def short(frame):
    return score(frame).iloc[:1]
def nameless(frame):
    return score(frame)[["y_pred"]]
def odd(frame):
    return score(frame).assign(y_pred=7)
def angry(frame):
    raise RuntimeError("no thanks")
def listed(frame):
    return [1, 0]
"""


def rows() -> Rows:
    """Return two events as an estimator sees them."""
    return rows_from_table(batch_of(EVENTS).table, SCHEMA)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A file of scoring functions, good and bad."""
    path = tmp_path / "scoring.py"
    path.write_text(FUNCTION)
    return path


def test_a_function_is_asked_with_the_model_s_own_types(script: Path) -> None:
    """Integers come as integers, and prediction and scores come back as class index and probabilities."""
    prediction, scores = open_scorer(f"{script}:score", SCHEMA)(rows().features)
    assert prediction.tolist() == [1, 0]
    assert scores is not None
    np.testing.assert_allclose(scores, [[0.1, 0.9], [0.9, 0.1]])


def test_features_come_back_in_their_stored_types() -> None:
    """What was text is text, with None where it is missing; a gap in a number is NaN."""
    frame = original_features(rows().features, SCHEMA)
    assert frame["region"].tolist() == ["eu", None]
    assert frame["owner"].tolist() == [1, 0]
    assert np.isnan(frame["income"][1])


def test_a_gap_in_a_boolean_leaves_plain_values() -> None:
    """A boolean with a gap becomes Python's own True and None, which JSON and any model can take."""
    feature = Feature("owner", FeatureType.BOOLEAN, Storage.BOOLEAN)
    frame = original_features(pd.DataFrame({"owner": ["1", None]}), replace(SCHEMA, features=(feature,)))
    assert frame["owner"].tolist() == [True, None]
    assert type(frame["owner"][0]) is bool


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("short", "was asked about 2 rows and answered 1"),
        ("nameless", "its answer has no column 'y_score'"),
        ("odd", "answered class '7'"),
        ("angry", "raised RuntimeError: no thanks"),
        ("listed", "must return a pandas DataFrame"),
    ],
)
def test_a_wrong_answer_is_told_in_one_line(script: Path, function: str, message: str) -> None:
    """Whatever a user's function does wrong is one line that names it."""
    with pytest.raises(DataError, match=message):
        open_scorer(f"{script}:{function}", SCHEMA)(rows().features)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonsense", "is none of file.py:function"),
        ("gone.py:score", "there is no file gone.py"),
        ("{script}:nothing", "has no function 'nothing'"),
        ("gone.onnx", "onnx"),
    ],
)
def test_a_spec_that_cannot_be_opened_is_a_mistake(script: Path, spec: str, message: str) -> None:
    """A misspelt scorer is refused before anything is asked."""
    with pytest.raises(ConfigError, match=message):
        open_scorer(spec.replace("{script}", str(script)), SCHEMA)


def test_calls_are_cut_into_batches(tmp_path: Path) -> None:
    """A scorer is never asked about more rows at once than it may be."""
    path = tmp_path / "one.py"
    path.write_text(FUNCTION + "\ndef one(frame):\n    assert len(frame) == 1\n    return score(frame)\n")
    prediction, _ = open_scorer(f"{path}:one", SCHEMA, ScorerSettings(batch_rows=1))(rows().features)
    assert prediction.tolist() == [1, 0]


Respond = Callable[[dict[str, Any], dict[str, str]], tuple[int, Any]]


@pytest.fixture
def model_server() -> Iterator[Callable[[Respond], str]]:
    """Starts model servers that answer with a function of body and headers; ended after the test."""
    servers: list[ThreadingHTTPServer] = []

    def start(respond: Respond) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = respond(body, {k.lower(): v for k, v in self.headers.items()})
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_mlflow_server_is_asked_as_mlflow_asks(model_server: Callable[[Respond], str]) -> None:
    """`dataframe_split` goes out with the probe header; named predictions come back."""
    seen: list[dict[str, str]] = []

    def respond(body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        seen.append(headers)
        split = body["dataframe_split"]
        assert split["columns"] == ["income", "region", "owner"]
        assert split["data"] == [[1.0, "eu", 1], [None, None, 0]]
        return 200, {"predictions": [{"y_pred": 1, "y_score": 0.75}, {"y_pred": 0, "y_score": 0.25}]}

    prediction, scores = open_scorer(model_server(respond) + "/invocations", SCHEMA)(rows().features)
    assert prediction.tolist() == [1, 0]
    assert scores is not None
    assert scores[:, 1].tolist() == [0.75, 0.25]
    assert seen[0]["mlhealth-probe"] == "1"


@pytest.mark.parametrize(
    "outputs",
    [
        [{"name": "probabilities", "shape": [2, 2], "datatype": "FP64", "data": [0.25, 0.75, 0.75, 0.25]}],
        [
            {"name": "y_pred", "shape": [2], "datatype": "INT64", "data": [1, 0]},
            {"name": "y_score", "shape": [2, 1], "datatype": "FP64", "data": [0.75, 0.25]},
        ],
    ],
)
def test_an_open_inference_server_is_asked_with_tensors(
    model_server: Callable[[Respond], str], outputs: list[dict[str, Any]]
) -> None:
    """A tensor per feature goes out; named tensors, or one matrix of probabilities, come back."""

    def respond(body: dict[str, Any], _: dict[str, str]) -> tuple[int, Any]:
        assert [(i["name"], i["datatype"], i["shape"]) for i in body["inputs"]] == [
            ("income", "FP64", [2, 1]),
            ("region", "BYTES", [2, 1]),
            ("owner", "INT64", [2, 1]),
        ]
        return 200, {"model_name": "loans", "outputs": outputs}

    prediction, scores = open_scorer(model_server(respond) + "/v2/models/loans/infer", SCHEMA)(
        rows().features
    )
    assert prediction.tolist() == [1, 0]
    assert scores is not None
    assert scores[:, 1].tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (503, {}, ScorerUnavailable),
        (429, {}, ScorerUnavailable),
        (400, {}, DataError),
        (200, b"<html>", DataError),
        (200, {"predictions": []}, DataError),
        (200, {"predictions": [[1, 2, 3], [4, 5, 6]]}, DataError),
    ],
)
def test_whether_to_retry_is_told_by_the_error(
    model_server: Callable[[Respond], str], status: int, answer: Any, error: type[Exception]
) -> None:
    """An overloaded server may answer later; a refusal or nonsense will not get better."""
    url = model_server(lambda _body, _headers: (status, answer))
    with pytest.raises(error, match=f"scorer {url}"):
        open_scorer(url + "/invocations", SCHEMA)(rows().features)


def test_a_slow_or_absent_server_is_unavailable(model_server: Callable[[Respond], str]) -> None:
    """A server that does not answer in time, or is not there, does not hold anybody up."""
    wait = threading.Event()

    def respond(_body: dict[str, Any], _headers: dict[str, str]) -> tuple[int, Any]:
        wait.wait(10)
        return 200, {}

    started = time.monotonic()
    with pytest.raises(ScorerUnavailable):
        open_scorer(model_server(respond) + "/invocations", SCHEMA, ScorerSettings(timeout=0.2))(
            rows().features
        )
    assert time.monotonic() - started < 5
    wait.set()
    with pytest.raises(ScorerUnavailable):
        open_scorer("http://127.0.0.1:1/invocations", SCHEMA)(rows().features)
