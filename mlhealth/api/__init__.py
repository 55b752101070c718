"""HTTP routes: ingest, query, operate."""
