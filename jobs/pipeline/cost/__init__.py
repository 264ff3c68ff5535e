"""Prices of machines, and what a catalogue costs: from the stored summary of a benchmark to an estimate."""
