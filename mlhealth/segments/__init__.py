"""Traffic told apart by the values of a column: how it is split, and what is normal in each part."""
