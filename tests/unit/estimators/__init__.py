"""Tests of single estimation methods and of what they are made of."""
