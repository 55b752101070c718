"""Alert rules, their state machine, delivery to people, and retraining requests to machines."""
