"""Stories: the whole service with real parts, run with make e2e STORY=name."""

from __future__ import annotations
