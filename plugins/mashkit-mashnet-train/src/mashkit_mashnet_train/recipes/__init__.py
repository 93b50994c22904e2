"""Recipes: they make training data from sound whose licence allows it; the result is features, never audio."""
