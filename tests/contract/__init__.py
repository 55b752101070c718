"""One suite over every implementation of a contract, found by reflection."""

from __future__ import annotations
