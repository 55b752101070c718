"""Label-free performance estimation: one method per file, named as in the literature."""
