"""The sample rate of all songs."""

RATE_HZ = 44_100  # a CD's
