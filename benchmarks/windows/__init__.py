"""What the work on a window costs, from columns to verdicts, beside the same work by NannyML, Evidently and whylogs."""

from __future__ import annotations
