"""Laws that hold for any input, checked with hypothesis."""

from __future__ import annotations
