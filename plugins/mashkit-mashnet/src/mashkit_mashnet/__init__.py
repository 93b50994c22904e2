"""mashkit scorers that learn (PreMixNet, PostMixNet, and a network that hears harmony), and the command that trains."""
