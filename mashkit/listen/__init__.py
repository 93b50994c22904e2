"""Listening tests: studies that are frozen before the first rating, their answers, and their analysis."""
