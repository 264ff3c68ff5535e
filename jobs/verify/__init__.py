"""Compares the tables at an output with its catalogue and its files: the parts of `python -m jobs.verify`.

Reading order: problems (what can be wrong), reconcile (the tables alone), stored_stems (the files that they
name), leftovers (files that they do not name), sweep (what can be done about it).
"""
