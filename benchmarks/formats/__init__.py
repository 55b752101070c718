"""What reading each wire format costs, beside the bare library that parses it."""
