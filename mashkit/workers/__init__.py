"""Processes that work for mashkit, and pools of them."""
