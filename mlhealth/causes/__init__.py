"""Why a window is worse: what is broken, what costs accuracy, and both in words."""
