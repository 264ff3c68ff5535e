"""A seeded band: multitrack music with known stems, for the demo, the tests and small trainings.

Reading order: plan (key, chords, form), melody, tone (how a note is made), drums, bass, chords,
voice, room (space and mastering), song (all of it on one screen), catalogue and musdb (files).
"""
