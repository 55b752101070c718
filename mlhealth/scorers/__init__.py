"""Asking the deployed model about rows, wherever it lives."""
