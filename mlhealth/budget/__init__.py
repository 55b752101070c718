"""The false-alarm budget: how much evidence of harm a page is worth."""
