"""Whether an output is what its tables say: the rooms of `python -m jobs.verify`."""
