"""What late and few labels say, and which ones to ask for."""
