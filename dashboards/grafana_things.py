"""What can be pushed to a Grafana: data sources, boards, alert rules and contact points, each by its part of the API.

Whether a person has changed a thing is told by a mark: mlhealth leaves the hash of what it sent inside the thing, where
Grafana has a place for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError

Document = dict[str, Any]
FOLDER = "mlhealth"
REDACTED = "[REDACTED]"
"""What Grafana answers instead of a secret."""
_BOARD_MARK = "mlhealth-content-"


class Kind(Protocol):
    """One kind of thing: how it is read and written, and what of it people see."""

    name: str

    def standing(self, api: GrafanaApi, document: Document) -> Document | None:
        """Return the thing as Grafana has it, None where it has none."""

    def send(
        self, api: GrafanaApi, document: Document, standing: Document | None, *, overwrite: bool
    ) -> None:
        """Create the thing, or replace `standing`; the document is marked."""

    def content(self, document: Document) -> object:
        """Return what people see of a thing, as plain data: what they may have changed."""

    def mark(self, document: Document) -> str:
        """Return the hash that mlhealth left in a thing, "" where there is none."""


def content_hash(kind: Kind, document: Document) -> str:
    """Return a hash of what people see of a thing."""
    told = json.dumps(kind.content(document), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def identity(document: Document) -> str:
    """Return the uid of a thing."""
    return str(document["uid"])


class Boards:
    """Dashboards; the mark is a tag."""

    name = "board"
    _not_content = frozenset({"id", "version", "tags", "iteration", "schemaVersion"})

    def standing(self, api: GrafanaApi, document: Document) -> Document | None:
        found = _found(api.dashboard.get_dashboard, identity(document))
        return None if found is None else dict(found["dashboard"])

    def send(
        self, api: GrafanaApi, document: Document, standing: Document | None, *, overwrite: bool
    ) -> None:
        version = {} if standing is None else {"version": standing.get("version")}
        sent = {"dashboard": document | version, "folderUid": FOLDER, "message": "mlhealth"}
        api.dashboard.update_dashboard(sent | {"overwrite": overwrite})

    def content(self, document: Document) -> object:
        return {name: value for name, value in document.items() if name not in self._not_content}

    def mark(self, document: Document) -> str:
        marks = [tag for tag in document.get("tags", ()) if tag.startswith(_BOARD_MARK)]
        return str(marks[0]).removeprefix(_BOARD_MARK) if marks else ""

    def marked(self, document: Document, tag: str) -> Document:
        """Return the board with its mark."""
        return document | {"tags": [tag, _BOARD_MARK + content_hash(self, document)]}


class _MarkedInside(Kind):
    """A kind whose things have a block of people's own, such as annotations, in which the mark stands by a name."""

    block: ClassVar[str]
    mark_name: ClassVar[str]

    def told(self, document: Document) -> Document:
        """Return the block without the mark."""
        return {k: v for k, v in (document.get(self.block) or {}).items() if k != self.mark_name}

    def mark(self, document: Document) -> str:
        return str((document.get(self.block) or {}).get(self.mark_name, ""))

    def marked(self, document: Document) -> Document:
        """Return the thing with its mark."""
        own = document[self.block] | {self.mark_name: content_hash(self, document)}
        return document | {self.block: own}


class Sources(_MarkedInside):
    """Data sources; the mark stands among the settings. A password is sent and never read back."""

    name = "data source"
    block = "jsonData"
    mark_name = "mlhealthContent"

    def standing(self, api: GrafanaApi, document: Document) -> Document | None:
        found = _found(api.datasource.get_datasource_by_uid, identity(document))
        return None if found is None else dict(found)

    def send(
        self, api: GrafanaApi, document: Document, standing: Document | None, *, overwrite: bool
    ) -> None:
        del overwrite
        if standing is None:
            api.datasource.create_datasource(document)
        else:
            api.datasource.update_datasource_by_uid(identity(document), document)

    def content(self, document: Document) -> object:
        shown = {name: document.get(name) or "" for name in ("name", "type", "access", "url", "user")}
        return shown | {"jsonData": self.told(document)}


class Rules(_MarkedInside):
    """Alert rules that Grafana evaluates; the mark is an annotation. They stay open to editing in Grafana."""

    name = "alert rule"
    block = "annotations"
    mark_name = "mlhealth_content"
    _shown = ("title", "ruleGroup", "folderUID", "condition", "noDataState", "execErrState", "for", "labels")

    def standing(self, api: GrafanaApi, document: Document) -> Document | None:
        found = _found(api.alertingprovisioning.get_alertrule, identity(document))
        return None if found is None else dict(found)

    def send(
        self, api: GrafanaApi, document: Document, standing: Document | None, *, overwrite: bool
    ) -> None:
        del overwrite
        if standing is None:
            api.alertingprovisioning.create_alertrule(document, disable_provenance=True)
        else:
            api.alertingprovisioning.update_alertrule(identity(document), document, disable_provenance=True)

    def content(self, document: Document) -> object:
        shown = {name: document.get(name) or "" for name in self._shown}
        receiver = (document.get("notification_settings") or {}).get("receiver", "")
        return shown | {
            "annotations": self.told(document),
            "receiver": receiver,
            "isPaused": bool(document.get("isPaused")),
            "data": [_query(part) for part in document["data"]],
        }


class ContactPoints:
    """Contact points. Grafana has no place for a mark in them: one that differs is taken for a person's."""

    name = "contact point"

    def standing(self, api: GrafanaApi, document: Document) -> Document | None:
        found = api.alertingprovisioning.get_contactpoints(name=document["name"])
        known = [dict(point) for point in found if point["uid"] == identity(document)]
        return self._unredacted(known[0], document) if known else None

    def send(
        self, api: GrafanaApi, document: Document, standing: Document | None, *, overwrite: bool
    ) -> None:
        del overwrite
        if standing is None:
            api.alertingprovisioning.create_contactpoint(document, disable_provenance=True)
        else:
            api.alertingprovisioning.update_contactpoint(
                identity(document), document, disable_provenance=True
            )

    def content(self, document: Document) -> object:
        return {name: document.get(name) for name in ("name", "type", "settings")}

    def mark(self, document: Document) -> str:
        del document
        return ""

    @staticmethod
    def _unredacted(standing: Document, document: Document) -> Document:
        """Return a contact point with our own secrets where Grafana does not tell its: they cannot be compared."""
        ours: Mapping[str, Any] = document["settings"]
        told = standing["settings"].items()
        return standing | {"settings": {k: ours.get(k, v) if v == REDACTED else v for k, v in told}}


BOARDS, SOURCES, RULES, CONTACT_POINTS = Boards(), Sources(), Rules(), ContactPoints()


def _query(part: Document) -> Document:
    """Return what a person sees of one query of a rule; Grafana adds defaults of its own to the rest."""
    model = {name: part["model"].get(name, "") for name in ("expr", "expression", "type")}
    return model | {"refId": part["refId"], "source": part["datasourceUid"]}


def _found(get: Any, uid: str) -> Document | None:
    """Return what `get` finds, None where Grafana answers 404."""
    try:
        found: Document = get(uid)
    except GrafanaClientError as error:
        if error.status_code != 404:
            raise
        return None
    return found
