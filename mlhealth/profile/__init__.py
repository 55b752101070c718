"""All that is remembered of a window: bins, counts, moments and a row sample that merge."""
