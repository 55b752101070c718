"""Drift and data-quality detectors: one method per file, named as in the literature."""
