"""The services around mlhealth in a demo, on loopback: the model's server, the on-call receiver, the training service.

They are small but real: mlhealth speaks to them over HTTP just as it would to a team's own.
"""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np
import pandas as pd
from standardwebhooks import Webhook

from mlhealth.demo.model import DeployedModel

SECRET = "whsec_bWxoZWFsdGgtZGVtby1vbi1jYWxsLXNlY3JldA=="  # noqa: S105 - of a receiver on loopback, made for the demo


@dataclass(frozen=True)
class Page:
    """One alert as the on-call receiver was told of it; `moment` is when it began or ended, in event time."""

    rule: str
    status: str
    summary: str
    moment: str


@dataclass
class Neighbours:
    """What the services know; changed by the demo's thread and by HTTP handlers."""

    models: dict[str, DeployedModel] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    trained: str | None = None

    def invocations(self, version: str, body: bytes, _: dict[str, str]) -> tuple[int, Any]:
        """Answer as an MLflow model server does: `dataframe_split` in, `predictions` out."""
        if version not in self.models:
            return 404, {"error": f"there is no version {version}"}
        split = json.loads(body)["dataframe_split"]
        frame = pd.DataFrame(split["data"], columns=split["columns"])
        answer = self.models[version].predict(_numbers(frame))
        return 200, {"predictions": answer.to_dict(orient="list")}

    def oncall(self, _: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        """Take a notification, if its signature is right."""
        if not _signed(body, headers):
            return 401, {"error": "the signature is wrong"}
        for alert in json.loads(body)["alerts"]:
            labels, notes = alert["labels"], alert["annotations"]
            moment = alert["startsAt" if alert["status"] == "firing" else "endsAt"]
            self.pages.append(Page(labels["alertname"], alert["status"], notes.get("summary", ""), moment))
        return 200, {}

    def train(self, _: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        """Take a retraining request; the same one twice is one job."""
        job = headers["idempotency-key"]
        if job not in [r["request_id"] for r in self.requests]:
            self.requests.append(json.loads(body)["data"])
        return 202, {"job": job, "status_url": f"/jobs/{job}"}

    def job(self, _: str, __: bytes, ___: dict[str, str]) -> tuple[int, Any]:
        """Say how the training does: it waits for labels of the new times, then makes a new version."""
        if self.trained is None:
            return 200, {"status": "running", "detail": "waiting for fresh labels"}
        return 200, {"status": "succeeded", "version": self.trained, "gpu_seconds": 1}


class NeighbourServer:
    """Serves `Neighbours` on a free port of loopback; a context manager."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(neighbours))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="demo-neighbours", daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(neighbours: Neighbours) -> type[BaseHTTPRequestHandler]:
    routes: dict[str, Callable[[str, bytes, dict[str, str]], tuple[int, Any]]] = {
        "invocations": neighbours.invocations,
        "oncall": neighbours.oncall,
        "train": neighbours.train,
        "jobs": neighbours.job,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

        def do_GET(self) -> None:
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            name, _, rest = self.path.strip("/").partition("/")
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, data = routes[name](rest, body, headers) if name in routes else (404, {})
            payload = json.dumps(data, default=_plain).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Stay silent: the demo tells its story itself."""

    return Handler


def _signed(body: bytes, headers: dict[str, str]) -> bool:
    """Whether a notification carries our signature; its age is not looked at, since the demo's clock is not ours."""
    written = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC)
    expected = Webhook(SECRET).sign(headers["webhook-id"], written, body.decode())
    return hmac.compare_digest(expected, headers["webhook-signature"])


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with columns that JSON left as objects of numbers and None as numbers and NaN."""
    numeric = {c: np.float64 for c in frame.columns if frame[c].dtype == object and not _has_text(frame[c])}
    return frame.astype(numeric)


def _has_text(column: pd.Series[Any]) -> bool:
    return bool(column.map(lambda value: isinstance(value, str)).any())
