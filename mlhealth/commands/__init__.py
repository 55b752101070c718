"""The command line's commands: one file per group, each with a `register(app)`; heavy imports stay inside."""
