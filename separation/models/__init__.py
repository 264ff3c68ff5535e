"""Model folders (bag.json and its graphs), and the sessions that run the graphs."""
