"""The road from a catalogue to stems and tables that the programs in `jobs` share."""
