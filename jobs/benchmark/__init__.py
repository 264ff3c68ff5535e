"""What a run costs: the parts of `python -m jobs.benchmark`.

Reading order: process_usage (what the machines did), accounting (the time per stage), trial (one timed run),
result (from runs to figures, and where they are stored), reference (demucs on the same tracks), sweep. The
stored summary, prices and projections are in `jobs/pipeline/cost`.
"""
