"""The HTTP edge over a filled store, on a real port."""

from __future__ import annotations
