"""Audition: a local page on which a person plays, compares, changes and judges candidate mashups."""
