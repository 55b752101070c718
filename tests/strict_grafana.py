"""A fake of the part of Grafana's HTTP API that we use, as strict as its documentation: it is not Grafana.

Built from the pages on folders, dashboards, data sources and alerting provisioning. It refuses what they say is
refused, and checks beyond them that a rule's condition, data source and receiver are there.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "glsa_admin"
EDITOR_TOKEN = "glsa_editor"
"""May do all but change data sources."""
ADDED = {"typeLogoUrl": "", "database": "", "basicAuth": False, "withCredentials": False, "readOnly": False}
"""What Grafana tells of a data source beside what was sent."""
RULE_KEYS = {
    "uid", "orgID", "folderUID", "ruleGroup", "title", "condition", "data", "noDataState", "execErrState", "for",
    "annotations", "labels", "isPaused", "notification_settings",
}  # fmt: skip
NEEDED = {
    "orgID",
    "folderUID",
    "ruleGroup",
    "title",
    "condition",
    "data",
    "noDataState",
    "execErrState",
    "for",
}
SECRETS = {"slack": {"url"}, "pagerduty": {"integrationKey"}}
"""Settings of contact points that are never told again."""
UID = re.compile(r"[a-zA-Z0-9\-_]{1,40}")
Answer = tuple[int, Any]


class StrictGrafana:
    """One organisation; the status codes are those of the documentation."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, Any]] = {}
        self.boards: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.passwords: dict[str, str] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.contacts: dict[str, dict[str, Any]] = {}
        self.writes = 0
        self.url = ""

    def answer(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        """Return the status and answer to a request."""
        role = {f"Bearer {TOKEN}": "Admin", f"Bearer {EDITOR_TOKEN}": "Editor"}.get(
            headers.get("Authorization", "")
        )
        if role is None:
            return 401, {"message": "Unauthorized"}
        parts = urlsplit(path)
        if parts.path.startswith("/api/datasources") and role != "Admin":
            return 403, {"message": "You'll need additional permissions to perform this action"}
        self.writes += method != "GET"
        for pattern, verbs in _ROUTES.items():
            if (found := re.fullmatch(pattern, parts.path)) and method in verbs:
                asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                asked["provenance"] = "" if headers.get("X-Disable-Provenance") else "api"
                return verbs[method](self, *found.groups(), body, asked)
        return 404, {"message": f"{method} {path} is not known"}

    def get_folder(self, uid: str, _body: Any, _asked: Any) -> Answer:
        """Answer GET /api/folders/:uid."""
        return (200, self.folders[uid]) if uid in self.folders else (404, {"message": "folder not found"})

    def make_folder(self, body: Any, _asked: Any) -> Answer:
        """Answer POST /api/folders."""
        if body["uid"] in self.folders:
            return 409, {"message": "a folder with that uid exists"}
        self.folders[body["uid"]] = body
        return 200, body

    def get_board(self, uid: str, _body: Any, _asked: Any) -> Answer:
        """Answer GET /api/dashboards/uid/:uid."""
        if uid not in self.boards:
            return 404, {"message": "Dashboard not found"}
        return 200, {"dashboard": self.boards[uid], "meta": {}}

    def save_board(self, body: Any, _asked: Any) -> Answer:
        """Answer POST /api/dashboards/db."""
        board = body["dashboard"]
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        standing = self.boards.get(board["uid"])
        if standing and not body.get("overwrite") and board.get("version") != standing["version"]:
            told = {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
            return 412, told
        version = standing["version"] + 1 if standing else 1
        self.boards[board["uid"]] = copy.deepcopy(board) | {"version": version, "id": len(self.boards) + 1}
        return 200, {"uid": board["uid"], "version": version, "status": "success"}

    def get_source(self, uid: str, _body: Any, _asked: Any) -> Answer:
        """Answer GET /api/datasources/uid/:uid."""
        if uid not in self.sources:
            return 404, {"message": "Data source not found"}
        return 200, self.sources[uid]

    def make_source(self, body: Any, _asked: Any) -> Answer:
        """Answer POST /api/datasources."""
        if not {"name", "type", "access"} <= body.keys():
            return 400, {"message": "bad request data"}
        names = {source["name"] for source in self.sources.values()}
        if body["name"] in names or body["uid"] in self.sources:
            return 409, {"message": "data source with the same name already exists"}
        return self._keep_source(body, "Datasource added")

    def put_source(self, uid: str, body: Any, _asked: Any) -> Answer:
        """Answer PUT /api/datasources/uid/:uid."""
        if uid not in self.sources:
            return 404, {"message": "Data source not found"}
        if self.sources[uid]["readOnly"]:
            return 403, {"message": "Cannot update read-only data source"}
        return self._keep_source(body, "Datasource updated")

    def _keep_source(self, body: Any, message: str) -> Answer:
        uid, secrets = body["uid"], body.get("secureJsonData", {})
        self.passwords |= {uid: secrets["password"]} if "password" in secrets else {}
        told = {name: value for name, value in body.items() if name != "secureJsonData"}
        fields = {"secureJsonFields": {"password": True} if uid in self.passwords else {}}
        version = self.sources.get(uid, {}).get("version", 0) + 1
        self.sources[uid] = ADDED | {"id": 1, "orgId": 1, "version": version} | copy.deepcopy(told) | fields
        return 200, {"datasource": self.sources[uid], "message": message, "name": body["name"]}

    def get_rule(self, uid: str, _body: Any, _asked: Any) -> Answer:
        """Answer GET /api/v1/provisioning/alert-rules/:uid."""
        return (200, self.rules[uid]) if uid in self.rules else (404, {"message": "alert rule not found"})

    def make_rule(self, body: Any, asked: Any) -> Answer:
        """Answer POST /api/v1/provisioning/alert-rules."""
        titles = {(rule["folderUID"], rule["title"]) for rule in self.rules.values()}
        if body["uid"] in self.rules or (body["folderUID"], body["title"]) in titles:
            return 409, {"message": "an alert rule with that uid or title exists"}
        return self._keep_rule(body, asked, 201)

    def put_rule(self, uid: str, body: Any, asked: Any) -> Answer:
        """Answer PUT /api/v1/provisioning/alert-rules/:uid."""
        if uid not in self.rules:
            return 404, {"message": "alert rule not found"}
        return self._keep_rule(body, asked, 200)

    def _keep_rule(self, body: Any, asked: Any, status: int) -> Answer:
        if fault := self._fault_of_rule(body):
            return 400, {"message": f"invalid alert rule: {fault}"}
        kept = copy.deepcopy(body) | {"id": 1, "updated": "2026-03-01T00:00:00Z"}
        self.rules[body["uid"]] = kept | ({"provenance": "api"} if asked["provenance"] else {})
        return status, self.rules[body["uid"]]

    def _fault_of_rule(self, rule: Any) -> str:
        steps = {step["refId"]: step for step in rule.get("data", ())}
        sources = {step["datasourceUid"] for step in steps.values()} - {"__expr__"}
        receiver = rule.get("notification_settings", {}).get("receiver")
        faults = {
            f"missing {NEEDED - rule.keys()}": not rule.keys() >= NEEDED,
            f"unknown {rule.keys() - RULE_KEYS}": bool(rule.keys() - RULE_KEYS),
            "uid": not UID.fullmatch(rule["uid"]),
            "the folder does not exist": rule["folderUID"] not in self.folders,
            "the condition names no step": rule["condition"] not in steps,
            "a data source does not exist": not sources <= self.sources.keys(),
            "noDataState": rule["noDataState"] not in {"OK", "Alerting", "NoData", "KeepLast"},
            "execErrState": rule["execErrState"] not in {"OK", "Alerting", "Error", "KeepLast"},
            "for": not re.fullmatch(r"(\d+[smhd])+", rule["for"]),
            f"receiver {receiver} does not exist": bool(receiver)
            and receiver not in {contact["name"] for contact in self.contacts.values()},
        }
        return next((told for told, wrong in faults.items() if wrong), "")

    def get_contacts(self, _body: Any, asked: Any) -> Answer:
        """Answer GET /api/v1/provisioning/contact-points, without the secrets."""
        wanted = asked.get("name")
        return 200, [_redacted(c) for c in self.contacts.values() if wanted in {None, c["name"]}]

    def make_contact(self, body: Any, asked: Any) -> Answer:
        """Answer POST /api/v1/provisioning/contact-points."""
        if body["uid"] in self.contacts:
            return 409, {"message": "a contact point with that uid exists"}
        return self._keep_contact(body, asked)

    def put_contact(self, uid: str, body: Any, asked: Any) -> Answer:
        """Answer PUT /api/v1/provisioning/contact-points/:uid."""
        if uid not in self.contacts:
            return 404, {"message": "contact point not found"}
        return self._keep_contact(body, asked)

    def _keep_contact(self, body: Any, asked: Any) -> Answer:
        if not {"name", "type", "settings"} <= body.keys() or not UID.fullmatch(body["uid"]):
            return 400, {"message": "invalid contact point"}
        kept = copy.deepcopy(body) | {"disableResolveMessage": False}
        self.contacts[body["uid"]] = kept | ({"provenance": "api"} if asked["provenance"] else {})
        return 202, _redacted(kept)


def _redacted(contact: dict[str, Any]) -> dict[str, Any]:
    hidden = SECRETS.get(contact["type"], set())
    settings = {k: "[REDACTED]" if k in hidden else v for k, v in contact["settings"].items()}
    return contact | {"settings": settings}


_RULES, _CONTACTS = r"/api/v1/provisioning/alert-rules", r"/api/v1/provisioning/contact-points"
_ROUTES: dict[str, dict[str, Callable[..., Answer]]] = {
    r"/api/folders/([^/]+)": {"GET": StrictGrafana.get_folder},
    r"/api/folders": {"POST": StrictGrafana.make_folder},
    r"/api/dashboards/uid/([^/]+)": {"GET": StrictGrafana.get_board},
    r"/api/dashboards/db": {"POST": StrictGrafana.save_board},
    r"/api/datasources/uid/([^/]+)": {"GET": StrictGrafana.get_source, "PUT": StrictGrafana.put_source},
    r"/api/datasources": {"POST": StrictGrafana.make_source},
    _RULES + r"/([^/]+)": {"GET": StrictGrafana.get_rule, "PUT": StrictGrafana.put_rule},
    _RULES: {"POST": StrictGrafana.make_rule},
    _CONTACTS + r"/([^/]+)": {"PUT": StrictGrafana.put_contact},
    _CONTACTS: {"GET": StrictGrafana.get_contacts, "POST": StrictGrafana.make_contact},
}


@contextmanager
def strict_grafana() -> Iterator[StrictGrafana]:
    """Serve a fake on a free loopback port."""
    fake = StrictGrafana()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_PUT(self) -> None:
            self.do_POST()

        def _answer(self, body: Any) -> None:
            status, told = fake.answer(self.command, self.path, body, dict(self.headers))
            sent = json.dumps(told).encode()
            self.send_response(status)
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
