"""The output folder: tables, run.json, the lease, and every path in it."""
