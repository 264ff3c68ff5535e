"""The order in which people see stems: those of the known models first, then others by name."""

KNOWN_STEMS = ("drums", "bass", "other", "vocals", "guitar", "piano")


def stem_order(stem: str) -> tuple[int, str]:
    """A key to sort stems by."""
    return KNOWN_STEMS.index(stem) if stem in KNOWN_STEMS else len(KNOWN_STEMS), stem
