"""`Finding`: what the doctor saw of one part, in one line, with what to do where something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether anything must be done: nothing, soon, or now."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """`part`: what was looked at. `seen`: what was found. `remedy`: what to do, "" where all is well."""

    part: str
    severity: Severity
    seen: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """The finding as one line."""
        return f"{self.part}: {self.seen}" + (f"; {self.remedy}" if self.remedy else "")


def ok(part: str, seen: str) -> Finding:
    """Return that all is well."""
    return Finding(part, Severity.OK, seen)


def warning(part: str, seen: str, remedy: str) -> Finding:
    """Return that something will be wrong soon, or is not as it should be."""
    return Finding(part, Severity.WARNING, seen, remedy)


def fault(part: str, seen: str, remedy: str) -> Finding:
    """Return that something is wrong now."""
    return Finding(part, Severity.FAULT, seen, remedy)
