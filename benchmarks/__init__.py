"""Measurements against goals and peers, each re-run by one make target."""

from __future__ import annotations
