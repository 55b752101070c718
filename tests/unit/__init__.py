"""One module, no servers: milliseconds each."""

from __future__ import annotations
