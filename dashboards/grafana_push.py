"""`mlhealth grafana push`: bring a Grafana up to date without overwriting what people changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException

from mlhealth.dashboards.grafana import documents
from mlhealth.dashboards.grafana_alerting import CONTACT_NAME, alert_rules, contact_point
from mlhealth.dashboards.grafana_things import (
    BOARDS,
    CONTACT_POINTS,
    FOLDER,
    RULES,
    SOURCES,
    Document,
    Kind,
    content_hash,
    identity,
)
from mlhealth.errors import ConfigError, ConflictError, DeliveryError

LIVE_UID = "mlhealth-prometheus"
HISTORY_UID = "mlhealth-history"


@dataclass(frozen=True)
class Wanted:
    """What is to be pushed beside the boards. "" leaves a thing out.

    `prometheus`: the address of a Prometheus, or the uid of a data source that Grafana has. `history`: the store as
    postgresql://user@host:port/database. `contact`: who is told, as kind=address.
    """

    prometheus: str = ""
    history: str = ""
    password: str = ""
    contact: str = ""
    overwrite: bool = False


@dataclass(frozen=True)
class Pushed:
    """What became of one thing: `created`, `updated`, `unchanged`, or `kept` since a person had changed it."""

    kind: str
    uid: str
    outcome: str


def push(url: str, token: str, wanted: Wanted = Wanted()) -> list[Pushed]:
    """Bring a Grafana up to date; what a person changed is kept unless `wanted.overwrite`.

    Raises ConfigError where something wanted is not understood, ConflictError where Grafana refuses, DeliveryError
    where it does not answer.
    """
    things = list(_things(wanted))
    api = GrafanaApi.from_url(url, credential=token, timeout=10.0)
    try:
        folder = Pushed("folder", FOLDER, "created" if _ensure_folder(api) else "unchanged")
        return [folder, *(_push(api, kind, thing, overwrite=wanted.overwrite) for kind, thing in things)]
    except GrafanaClientError as error:
        role = "does the token have the role Editor, or Admin to make data sources?"
        raise ConflictError(f"grafana {url}: {error.message}; {role}") from None
    except (GrafanaException, OSError) as error:
        raise DeliveryError(f"grafana {url}: {error}") from None


def _things(wanted: Wanted) -> Iterator[tuple[Kind, Document]]:
    """Yield all that is wanted, what others refer to first."""
    live = wanted.prometheus
    if "://" in live:
        yield SOURCES, prometheus_source(live)
        live = LIVE_UID
    if wanted.history:
        yield SOURCES, history_source(wanted.history, wanted.password)
    for board in documents().values():
        yield BOARDS, board
    if wanted.contact:
        if not live:
            raise ConfigError(
                "a contact point needs alert rules, and they need --prometheus: an address or a uid"
            )
        yield CONTACT_POINTS, contact_point(wanted.contact)
    for rule in alert_rules(live, CONTACT_NAME if wanted.contact else "") if live else ():
        yield RULES, rule


def prometheus_source(address: str) -> Document:
    """Return the data source of the live state."""
    return SOURCES.marked(
        {
            "uid": LIVE_UID,
            "name": "mlhealth live",
            "type": "prometheus",
            "access": "proxy",
            "url": address,
            "jsonData": {"httpMethod": "POST"},
        }
    )


def history_source(address: str, password: str) -> Document:
    """Return the data source of the store; raises ConfigError where `address` is not one of PostgreSQL."""
    parts = urlsplit(address)
    database = parts.path.removeprefix("/")
    if parts.scheme.partition("+")[0] not in {"postgresql", "postgres"} or not (parts.hostname and database):
        raise ConfigError(f"{address} is not an address like postgresql://grafana_reader@db:5432/mlhealth")
    (mode,) = parse_qs(parts.query).get("sslmode", ["require"])[-1:]
    document = SOURCES.marked(
        {
            "uid": HISTORY_UID,
            "name": "mlhealth history",
            "type": "grafana-postgresql-datasource",
            "access": "proxy",
            "url": f"{parts.hostname}:{parts.port or 5432}",
            "user": parts.username or "grafana_reader",
            "jsonData": {"database": database, "sslmode": mode, "postgresVersion": 1500},
        }
    )
    secret = parts.password or password
    return document | {"secureJsonData": {"password": secret}} if secret else document


def _ensure_folder(api: GrafanaApi) -> bool:
    """Make the folder where there is none; return whether that was so."""
    try:
        api.folder.get_folder(FOLDER)
    except GrafanaClientError as error:
        if error.status_code != 404:
            raise
        api.folder.create_folder(FOLDER, uid=FOLDER)
        return True
    return False


def _push(api: GrafanaApi, kind: Kind, thing: Document, *, overwrite: bool) -> Pushed:
    standing = kind.standing(api, thing)
    outcome = _outcome(kind, thing, standing, overwrite=overwrite)
    if outcome in {"created", "updated"}:
        kind.send(api, thing, standing, overwrite=overwrite)
    return Pushed(kind.name, identity(thing), outcome)


def _outcome(kind: Kind, thing: Document, standing: Document | None, *, overwrite: bool) -> str:
    """Return what shall become of a thing."""
    if standing is None:
        return "created"
    seen = content_hash(kind, standing)
    if seen == content_hash(kind, thing) and not (overwrite and "secureJsonData" in thing):
        return "unchanged"
    # What a file provisions cannot be changed over the API.
    if standing.get("readOnly") or standing.get("provenance") == "file":
        return "kept"
    return "updated" if overwrite or kind.mark(standing) == seen else "kept"
