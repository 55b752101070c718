"""Real servers for tests: started on loopback, on free ports, stopped by process id."""

from __future__ import annotations
