"""The door of the HTTP inbox: bodies in, durable before the answer, each request once however often it is sent.

Every HTTP entry for events goes through `Door.deliver`: it is given parcels (a body, and whose events it holds), writes
them to the inbox in one transaction, and says what was in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from mlhealth.clock import Clock
from mlhealth.events.bodies import Body
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.store.inbox import Entry, Inbox, RequestKey
from mlhealth.store.schemas import Schemas

REASONS = 100
"""At most so many rows are named in an answer; all are counted."""


@dataclass(frozen=True)
class Parcel:
    """A message of a model version; `watermark`: no earlier event of it follows this message (microseconds).

    `lane`: messages of one lane are read by one worker.
    """

    model: str
    version: str
    body: Body | None
    watermark: int | None = None
    lane: int | None = None


@dataclass(frozen=True)
class RowReason:
    """Why a row of the request, numbered from 0, cannot be used."""

    row: int
    reason: str


@dataclass(frozen=True)
class Receipt:
    """What was in a request: rows that can be used, rows that cannot, and why (the first ones)."""

    accepted: int
    rejected: int
    reasons: tuple[RowReason, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class Repeatable:
    """A request that may be sent again: `key` is the sender's word for it, `sender` who sent it and to where."""

    key: str
    sender: str


class Door:
    """Takes messages in for the worker to read."""

    def __init__(self, inbox: Inbox, clock: Clock, max_message_bytes: int) -> None:
        self._inbox = inbox
        self._clock = clock
        self._schemas = Schemas(inbox.database, clock)
        self.max_message_bytes = max_message_bytes

    def schema_of(self, model: str, version: str) -> ModelSchema | None:
        """Return the schema of a model version's newest baseline, None where it has none yet."""
        return self._schemas.of(model, version)

    def deliver(
        self, parcels: Sequence[Parcel], repeatable: Repeatable | None = None
    ) -> tuple[Receipt, bool]:
        """Write parcels durably, all or none; return the receipt, and whether it is an earlier request's.

        Raises InboxFull, StoreUnavailable, and ConflictError for a key that was used with other parcels.
        """
        receipt = _receipt(parcels, self._note(parcels))
        entries = [entry for parcel in parcels for entry in _entries(parcel)]
        key = None if repeatable is None else _request_key(repeatable, entries, receipt)
        known = self._inbox.append(entries, self._clock.now(), key)
        return (receipt, False) if known is None else (_from_json(known), True)

    def _note(self, parcels: Sequence[Parcel]) -> str | None:
        unknown = [p for p in parcels if p.version and p.model and self.schema_of(p.model, p.version) is None]
        if not unknown:
            return None
        who = f"model {unknown[0].model} version {unknown[0].version}"
        return f"no baseline speaks for {who} yet: its events are counted and kept aside until one does"


def _entries(parcel: Parcel) -> list[Entry]:
    found = []
    if parcel.body is not None:
        body = parcel.body
        found.append(
            Entry(parcel.model, parcel.version, body.format, body.content, body.rows, lane=parcel.lane)
        )
    if parcel.watermark is not None:
        found.append(Entry(parcel.model, parcel.version, watermark=parcel.watermark))
    return found


def _receipt(parcels: Sequence[Parcel], note: str | None) -> Receipt:
    bodies = [parcel.body for parcel in parcels if parcel.body is not None]
    accepted = sum(body.accepted for body in bodies)
    rejected = sum(body.rows - body.accepted for body in bodies)
    reasons: list[RowReason] = []
    first = 0
    for body in bodies:
        room = REASONS - len(reasons)
        reasons += [RowReason(first + r.row, r.reason) for r in body.rejections[:room]]
        first += body.rows
    return Receipt(accepted, rejected, tuple(reasons), note)


def _request_key(repeatable: Repeatable, entries: Sequence[Entry], receipt: Receipt) -> RequestKey:
    digest = hashlib.sha256()
    for entry in entries:
        head = orjson.dumps([entry.model, entry.version, entry.format, entry.watermark, len(entry.body)])
        digest.update(head)
        digest.update(entry.body)
    key = hashlib.sha256(orjson.dumps([repeatable.sender, repeatable.key])).hexdigest()
    return RequestKey(key, digest.hexdigest(), orjson.dumps(receipt).decode())


def _from_json(text: str) -> Receipt:
    data = orjson.loads(text)
    return Receipt(**{**data, "reasons": tuple(RowReason(**row) for row in data["reasons"])})
