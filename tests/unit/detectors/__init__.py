"""Tests of the detectors."""

from __future__ import annotations
