"""Numbers, times and names as people read them."""

from datetime import datetime

from separation.store.redact import shown

LONGEST_NAME = 120  # characters of a track's name that are shown
UNITS = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1))  # with the next smaller one


def duration(seconds: float | None) -> str:
    """`0.42 s`, `8.1 s`, `3 min 20 s`, `5 h 7 min`, `12 d 4 h`."""
    if seconds is None:
        return "unknown"
    if 0 < seconds < 59.95:
        if seconds < 0.005:
            return "under 0.01 s"
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds <= 0:  # clocks of two machines may disagree
        return "0 s"
    unit, size, smaller, smaller_size = next(step for step in UNITS if round(seconds) >= step[1])
    big, rest = divmod(round(seconds), size)
    return f"{big} {unit} {rest // smaller_size} {smaller}" if rest >= smaller_size else f"{big} {unit}"


def audio_length(seconds: float) -> str:
    """A sum of audio, in hours however many they are: `8 min 20 s`, `48.5 h`, `12,345 h`."""
    return duration(seconds) if seconds < 3600 else f"{three_digits(seconds / 3600)} h"


def three_digits(value: float | None) -> str:
    """Three significant digits, or all of a number above 100: `0.0123`, `4.56`, `78.9`, `1,234`."""
    if value is None:
        return "unknown"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else f"{share * 100:.0f} %"


def dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 0.1 or usd == 0 else f"${three_digits(usd)}"


def utc_time(when: datetime) -> str:
    """`2026-11-24 08:00:00 UTC`."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def utc_minute(when: datetime) -> str:
    """`2026-11-24 08:00 UTC`."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def safe_text(text: str, longest: int = LONGEST_NAME) -> str:
    """`text` as `redact.shown` gives it, on one line and without credentials; shortened in its middle.

    Names and sentences of a catalogue are untrusted: they pass through here before they are shown.
    """
    whole = shown(text)
    if len(whole) <= longest:
        return whole
    head = longest * 2 // 3
    return f"{whole[:head]} … {whole[head - longest + 3 :]}"
