"""What a run costs: watch the machines, add up the stages, price them, project a catalogue.

Reading order: watch (what the machines did), accounting (into stages), result (the figures and where
they are kept), prices, projection, trial (one timed run), reference (demucs beside it), sweep.
"""
