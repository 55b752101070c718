"""The embedded demo: a generated year of loan applications, or a table of the user's own, through the real code."""
