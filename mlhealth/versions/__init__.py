"""Versions of one model side by side, and the step from one to the next."""
