"""What is put aside before it is counted: messages that are too large, and rows whose time cannot be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlhealth.events.batch import TIME, EventBatch
from mlhealth.events.messages import Messages
from mlhealth.records import Rejection
from mlhealth.sources.base import Address
from mlhealth.windows import implausible
from mlhealth.worker.decoding import Decoded
from mlhealth.worker.ledger import Ledger, address_of


class Sieve:
    """Tells a ledger of all that it holds back."""

    def __init__(self, ledger: Ledger, max_bytes: int) -> None:
        self._ledger = ledger
        self._max_bytes = max_bytes

    def messages(self, address: Address, messages: Messages) -> Messages:
        """Return the messages that are not too large to be decoded."""
        large = messages.sizes > self._max_bytes
        if not large.any():
            return messages
        for i in np.flatnonzero(large).tolist():
            size = messages.sizes[i]
            reason = (
                f"the message has {size} bytes, more than the {self._max_bytes} allowed (max_message_bytes)"
            )
            rejection = address_of(messages.partitions[messages.index[i]], int(messages.offsets[i]), reason)
            self._ledger.reject(address, messages, [rejection])
        return messages.take(np.flatnonzero(~large))

    def rows(
        self, address: Address, messages: Messages, decoded: Decoded, allowance: int
    ) -> tuple[EventBatch, NDArray[np.int32]]:
        """Return the rows whose time can be, and of which message each is part."""
        batch, message = decoded.batch, decoded.message
        if batch.rows == 0:
            return batch, message
        times = batch.array(TIME).astype(np.int64, copy=False)
        keep = np.ones(batch.rows, dtype=np.bool_)
        for fault in implausible(times, messages.timestamps[message], allowance):
            rows = np.flatnonzero(fault.rows & keep)
            rejections = [_of_row(messages, decoded, row, fault.reason) for row in rows.tolist()]
            self._ledger.reject(address, messages, rejections, fault.outcome)
            keep &= ~fault.rows
        return (batch, message) if keep.all() else (batch.take(keep), message[keep])


def _of_row(messages: Messages, decoded: Decoded, row: int, reason: str) -> Rejection:
    """Return the rejection of one decoded row; its number within its message is counted from the rows before it."""
    message = int(decoded.message[row])
    first = int(np.searchsorted(decoded.message, message))
    partition = messages.partitions[messages.index[message]]
    return address_of(partition, int(messages.offsets[message]), reason, row - first)
