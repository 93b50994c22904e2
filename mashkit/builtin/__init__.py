"""Components that come with mashkit itself."""
