"""Several rooms together, with real servers where they are there."""

from __future__ import annotations
