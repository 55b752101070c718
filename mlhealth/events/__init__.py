"""Wire formats in, `EventBatch` out: one file per format."""
