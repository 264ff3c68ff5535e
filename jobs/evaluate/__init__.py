"""Scores stems against the true ones: the parts of `python -m jobs.evaluate`.

Reading order: layout (which files belong together), sdr (the arithmetic), scoring (one track, on a worker),
score_table (the medians, for people).
"""
