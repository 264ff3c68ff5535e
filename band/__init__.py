"""Synthetic songs drawn from a seed, with known stems: for the demo, the tests and small trainings.

Reading order: arrangement (key, chords, form), melody, tone (how a pitched note is made), drums, bass,
chords, voice, room (space and mastering), song (from seed to stems), catalogue and musdb (files).
"""
