"""Pieces put together into stretches: what one worker profiles at a time, and what a resumed backfill skips."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.backfill.tables.base import Piece

STRETCH_ROWS = 500_000
"""Rows of one stretch, unless its only piece has more: large enough to pay for a task, small enough to hold."""


@dataclass(frozen=True)
class Stretch:
    """Consecutive pieces; `number` counts the stretches of one table from 0."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        """Rows of all pieces."""
        return sum(piece.rows for piece in self.pieces)


def stretches(pieces: Sequence[Piece], rows: int = STRETCH_ROWS) -> tuple[Stretch, ...]:
    """Return the pieces in order, as few stretches of at most `rows` as that takes."""
    groups: list[list[Piece]] = []
    held = 0
    for piece in pieces:
        if not groups or held + piece.rows > rows:
            groups.append([])
            held = 0
        groups[-1].append(piece)
        held += piece.rows
    return tuple(Stretch(number, tuple(group)) for number, group in enumerate(groups))


def contents(pieces: Sequence[Piece]) -> str:
    """Return a name that changes whenever the table's files do."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.identity.encode() + b"\n")
    return digest.hexdigest()[:16]
