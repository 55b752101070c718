"""What a model's events look like, and where that knowledge comes from."""
