"""Which files of a folder are tracks: one set of rules for `python -m separation` and for the job."""
