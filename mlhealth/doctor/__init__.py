"""The doctor: every part that the service stands on, looked at from here; each fault with what to do about it."""

from __future__ import annotations
