"""What people ask of the store: the one place where API, pages, reports and boards read from."""
