"""The constants that graphs, grid and export share: those of htdemucs."""

SAMPLE_RATE = 44_100  # Hz
CHANNELS = 2
STEMS = ("drums", "bass", "other", "vocals")  # the order of htdemucs_ft: row k of model k is stem k
SEGMENT = 343_980  # samples: 7.8 s at 44.1 kHz, fixed by the graph (Fraction(39, 5) s in demucs)
OVERLAP = 0.25  # demucs's default
STRIDE = 257_985  # samples: int((1 - OVERLAP) * SEGMENT), as demucs/apply.py computes it
MAX_SHIFT = 22_050  # samples: int(0.5 * SAMPLE_RATE), the longest shift of demucs's shift trick
