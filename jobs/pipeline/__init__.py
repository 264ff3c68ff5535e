"""What the programs in `jobs` share: the pipeline from a catalogue to stems and tables."""
