"""What the stream costs per event, through a real broker, beside the bare client and the bare decoder."""

from __future__ import annotations
