"""Label-free health monitoring for deployed models."""

from __future__ import annotations
