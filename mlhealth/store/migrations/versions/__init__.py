"""One file per step."""

from __future__ import annotations
