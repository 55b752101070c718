"""Tests: unit, property, contract, integration and e2e; servers/ starts the real ones."""

from __future__ import annotations
