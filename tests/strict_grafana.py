"""A fake of the part of Grafana's HTTP API that we use, as strict as its documentation: it is not Grafana."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glsa_editor"


class StrictGrafana:
    """Folders and boards of one organisation; the status codes are those of the documentation."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, Any]] = {}
        self.boards: dict[str, dict[str, Any]] = {}
        self.url = ""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and answer to an authorised request."""
        kind, _, uid = path.removeprefix("/api/").rpartition("/")
        if method == "GET" and kind == "folders":
            return (200, self.folders[uid]) if uid in self.folders else (404, {"message": "folder not found"})
        if method == "GET" and kind == "dashboards/uid":
            if uid not in self.boards:
                return 404, {"message": "Dashboard not found"}
            return 200, {"dashboard": self.boards[uid], "meta": {}}
        if (method, path) == ("POST", "/api/folders"):
            if body["uid"] in self.folders:
                return 409, {"message": "a folder with that uid exists"}
            self.folders[body["uid"]] = body
            return 200, body
        if (method, path) == ("POST", "/api/dashboards/db"):
            return self._save(body)
        return 404, {"message": f"{method} {path} is not known"}

    def _save(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        board = body["dashboard"]
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        standing = self.boards.get(board["uid"])
        if standing and not body.get("overwrite") and board.get("version") != standing["version"]:
            return 412, {
                "message": "The dashboard has been changed by someone else",
                "status": "version-mismatch",
            }
        version = standing["version"] + 1 if standing else 1
        self.boards[board["uid"]] = json.loads(json.dumps(board)) | {
            "version": version,
            "id": len(self.boards) + 1,
        }
        return 200, {"uid": board["uid"], "version": version, "status": "success"}


@contextmanager
def strict_grafana() -> Iterator[StrictGrafana]:
    """Serve a fake on a free loopback port."""
    fake = StrictGrafana()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            answer = (
                fake.answer(self.command, self.path, body) if allowed else (401, {"message": "Unauthorized"})
            )
            sent = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
