"""Training services that a retraining request can be sent to: one adapter per file."""
