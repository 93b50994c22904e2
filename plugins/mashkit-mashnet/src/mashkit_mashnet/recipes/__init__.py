"""How training data is made from sound that may be used: recipes, whose results are features and never audio."""
