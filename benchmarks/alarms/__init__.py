"""Alarms: false pages against the budget, power by size of drop, the health score, what is named as broken."""

from __future__ import annotations
