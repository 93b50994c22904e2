"""From plans to sound, and to files."""
