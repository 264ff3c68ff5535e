"""What a run costs: the parts of `python -m jobs.benchmark`.

Reading order: process_usage (what the machines did), accounting (the time per stage), trial (one timed run),
result (from runs to figures, and where they are stored), comparison (all stems or other models on the same
tracks), reference (demucs on them), sweep, runs (what runs after what). The stored summary, prices and
projections are in `jobs/pipeline/cost`.
"""
