"""Tables in a lake as pieces that workers can read on their own: one file per table format."""
