"""The parts of `mpp`: competing explanations of what happened to a window."""
