"""The job: a catalogue of tracks in, stems and tables out."""
