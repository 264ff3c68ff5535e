"""Model folders, and the sessions that run their graphs."""
