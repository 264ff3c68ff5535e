"""Ogg files taken apart into pages, changed and put together again."""

import struct

from separation.audio.ogg_serial import PAGE_HEADER, checksum

HEADER_PAGES = 2  # of Opus: OpusHead and OpusTags
GRANULE = slice(6, 14)
CHECKSUM = slice(22, 26)


def pages(data: bytes) -> list[bytes]:
    found, start = [], 0
    while start < len(data):
        segments = data[start + PAGE_HEADER - 1]
        body = sum(data[start + PAGE_HEADER : start + PAGE_HEADER + segments])
        found.append(data[start : start + PAGE_HEADER + segments + body])
        start += len(found[-1])
    return found


def resealed(page: bytes) -> bytes:
    """A changed page with its checksum."""
    blank = page[: CHECKSUM.start] + bytes(4) + page[CHECKSUM.stop :]
    return blank[: CHECKSUM.start] + struct.pack("<I", checksum(blank)) + blank[CHECKSUM.stop :]


def without_first_pages(opus: bytes, count: int) -> bytes:
    """As a recording of a stream that was joined late: `count` pages of audio are missing."""
    every = pages(opus)
    return b"".join(every[:HEADER_PAGES] + every[HEADER_PAGES + count :])


def later(opus: bytes, samples: int) -> bytes:
    """The same audio, counted from `samples` at 48 kHz on."""
    every = pages(opus)
    for index, page in enumerate(every[HEADER_PAGES:], HEADER_PAGES):
        granule = int.from_bytes(page[GRANULE], "little") + samples
        every[index] = resealed(page[: GRANULE.start] + struct.pack("<q", granule) + page[GRANULE.stop :])
    return b"".join(every)


def with_pre_skip(opus: bytes, samples: int) -> bytes:
    """The same audio, of which a decoder drops the first `samples`, as of an edited file."""
    first, *others = pages(opus)
    at = first.index(b"OpusHead") + 10
    return resealed(first[:at] + struct.pack("<H", samples) + first[at + 2 :]) + b"".join(others)
