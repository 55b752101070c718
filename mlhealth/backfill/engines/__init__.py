"""What runs a function over many pieces: one file per engine, one contract suite over all."""
