"""What normal looked like: the record, its files, and two of them side by side."""
