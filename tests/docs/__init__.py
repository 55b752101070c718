"""What the documents promise is run."""

from __future__ import annotations
