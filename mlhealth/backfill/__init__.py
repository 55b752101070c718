"""Years of logs in a lake → the reports that the live path would have written, into the same store."""
