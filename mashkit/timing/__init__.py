"""Beats, beat maps and metre: times computed from an analysis."""
