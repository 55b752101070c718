"""The worker: from polled messages to checkpointed profiles, and from those to window reports."""

from __future__ import annotations
