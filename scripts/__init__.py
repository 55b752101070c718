"""What contributors run from the root of a checkout: `python -m scripts.NAME`."""

from __future__ import annotations
