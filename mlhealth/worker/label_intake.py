"""Labels that were read and not yet checkpointed, by partition."""

from __future__ import annotations

from collections.abc import Collection

from mlhealth.events.labels import LABEL_FORMAT, decode_labels
from mlhealth.events.messages import Messages, Partition
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.sources.base import Address
from mlhealth.store.labels import Label
from mlhealth.worker.ledger import Ledger
from mlhealth.worker.models import Models


class LabelIntake:
    """Grows with each batch of label messages, and is cleared by each checkpoint."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: dict[Partition, list[Label]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def waiting(self) -> list[Label]:
        """All labels, in the order in which each partition brought them."""
        return [label for _, found in sorted(self._waiting.items()) for label in found]

    def take(self, address: Address, messages: Messages, schema: ModelSchema) -> None:
        """Read label messages; those that cannot be used go to the ledger."""
        found = decode_labels(messages, schema)
        self._ledger.reject(address, messages, found.rejections)
        rows = zip(found.keys.tolist(), found.values, found.at.tolist(), found.message.tolist(), strict=True)
        for key, value, at, message in rows:
            partition = messages.partitions[messages.index[message]]
            label = Label(address.model, address.version, key, value, at)
            self._waiting.setdefault(partition, []).append(label)
            self._ledger.count(partition, address, "label", 1)

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop what concerns these partitions."""
        gone = set(partitions)
        self._waiting = {p: found for p, found in self._waiting.items() if p not in gone}

    def clear(self) -> None:
        """Begin anew after a checkpoint."""
        self._waiting.clear()


def reading_version(address: Address, models: Models) -> str:
    """Return the version whose schema reads a message: labels may be meant for any version of a model."""
    if address.version or address.format != LABEL_FORMAT:
        return address.version
    return max((v for m, v in models.versions() if m == address.model), default="")
