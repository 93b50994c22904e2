"""Synthetic music whose beats, keys and stems are exact: what tests and benchmarks measure against."""
