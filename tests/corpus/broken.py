"""Files that are refused: cut, damaged, something else, encrypted, or a claim to be huge."""

import io
import struct
from collections.abc import Iterator

import av
import numpy as np

from separation.audio.headers.drm import ASF_OBJECTS
from separation.errors import ErrorKind, WarningKind
from tests.corpus.case import AUDIO_SIZES, RATE, Case, id3, mp3, music
from tests.sounds import encoded, muxed, tone


def cut() -> Iterator[Case]:
    """Incomplete uploads."""
    for form in AUDIO_SIZES:
        data = encoded(music(), RATE, form)
        yield Case(f"cut/{form}.{form.lower()}", data[: len(data) * 2 // 3], ErrorKind.TRUNCATED)
    flac = encoded(music(), RATE, "FLAC")
    yield Case("cut/flac.flac", flac[: len(flac) * 2 // 3], ErrorKind.CORRUPT)
    yield Case("cut/mp3.mp3", mp3()[: len(mp3()) * 2 // 3], ErrorKind.TRUNCATED)
    for form, codec, kind in (
        ("mp4", "aac", ErrorKind.TRUNCATED),
        ("mp4", "alac", ErrorKind.TRUNCATED),
        ("wv", "wavpack", ErrorKind.CORRUPT),
        ("tta", "tta", ErrorKind.CORRUPT),
        ("asf", "wmav2", ErrorKind.TRUNCATED),
        ("ogg", "libopus", ErrorKind.TRUNCATED),
        ("matroska", "flac", ErrorKind.TRUNCATED),
    ):
        rate = 48_000 if codec == "libopus" else RATE
        data = muxed(music(rate), rate, form, codec)
        yield Case(f"cut/{form} {codec}.{form}", data[: len(data) * 2 // 3], kind)
    faststart = muxed(music(), RATE, "mp4", "aac", movflags="faststart")
    yield Case("cut/index first.m4a", faststart[: len(faststart) * 2 // 3], ErrorKind.TRUNCATED)
    for name, data in (
        ("wav", encoded(music(), RATE)),
        ("flac", flac),
        ("ogg", encoded(music(), RATE, "OGG", "VORBIS")),
    ):
        yield Case(
            f"cut/header alone.{name}",
            data[:20],
            ErrorKind.TRUNCATED if name == "ogg" else ErrorKind.BAD_HEADER,
        )
    yield Case("cut/nothing.flac", b"", ErrorKind.EMPTY)
    yield Case("cut/no sample.wav", encoded(music()[:0], RATE), ErrorKind.EMPTY)
    yield Case("cut/no sample.aiff", encoded(music()[:0], RATE, "AIFF"), ErrorKind.EMPTY)


def overwrite(data: bytes, times: int, size: int) -> bytes:
    """`data` with `size` bytes of noise at each of `times` evenly spaced offsets."""
    rng, damaged = np.random.default_rng(7), bytearray(data)
    for index in range(times):
        at = len(data) * (index + 1) // (times + 1)
        damaged[at : at + size] = rng.bytes(size)
    return bytes(damaged)


def damaged() -> Iterator[Case]:
    yield Case("damaged/flac.flac", overwrite(encoded(music(), RATE, "FLAC"), 1, 100), ErrorKind.CORRUPT)
    for form, codec in (
        ("mp4", "alac"),
        ("wv", "wavpack"),
        ("tta", "tta"),
        ("matroska", "flac"),
        ("flac", "flac"),
        ("mp4", "aac"),
        ("adts", "aac"),
        ("ogg", "libopus"),
        ("webm", "libopus"),
    ):
        rate = 48_000 if codec == "libopus" else RATE
        data = overwrite(muxed(music(rate), rate, form, codec), 3, 3_000)
        kind = ErrorKind.TRUNCATED if form == "webm" else ErrorKind.CORRUPT  # ffmpeg cannot resume in WebM
        yield Case(f"damaged/{form} {codec}.{form}", data, kind)
    long = tone(RATE, 20 * RATE)
    yield Case("damaged/mp3.mp3", overwrite(mp3(long), 5, 5_000), ErrorKind.CORRUPT)
    little = muxed(long, RATE, "mp3", "libmp3lame")
    yield Case(
        "damaged/a little.mp3", overwrite(little, 1, 600), seconds=20, warnings=(WarningKind.RECOVERED,)
    )
    wave = bytearray(encoded(music(), RATE))
    wave[12:16] = b"xxxx"
    yield Case("damaged/header.wav", bytes(wave), ErrorKind.BAD_HEADER)


def not_audio() -> Iterator[Case]:
    everything = bytes(range(256)) * 40
    for name, data in (
        ("text.mp3", b"hello " * 1_000),
        ("page.mp3", b"<!DOCTYPE html><title>404</title>" * 50),
        ("zeros.wav", bytes(10_000)),
        ("cover.jpg.mp3", b"\xff\xd8\xff\xe0" + everything),
        ("picture.webp.wav", b"RIFF\0\0\1\0WEBPVP8 " + everything),
        ("paper.flac", b"%PDF-1.7\n" + everything),
        ("archive.m4a", b"PK\3\4" + everything),
        ("playlist.mp3", b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
        ("stream.aac", b"#EXTM3U\n#EXTINF:9\nfile:///etc/passwd\n"),
    ):
        yield Case(f"foreign/{name}", data, ErrorKind.NOT_AUDIO)
    for name, magic in (
        ("shorten.shn", b"ajkg\2"),
        ("real.ra", b".ra\xfd\0\4"),
        ("frog.ofr", b"OFR "),
        ("free format.mp3", b"\xff\xfb\2\xe4"),
        ("free format behind a tag.mp3", id3(500) + b"\xff\xfb\2\xe4"),
    ):
        yield Case(f"foreign/{name}", magic + everything, ErrorKind.UNSUPPORTED)
    yield Case("foreign/video.mp4", video("mp4"), ErrorKind.NO_AUDIO_STREAM)
    yield Case("foreign/video.mkv", video("matroska"), ErrorKind.NO_AUDIO_STREAM)


def video(form: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def encrypted() -> Iterator[Case]:
    m4a = muxed(music(), RATE, "mp4", "aac")
    for entry in (b"drms", b"enca"):
        yield Case(f"encrypted/{entry.decode()}.m4p", m4a.replace(b"mp4a", entry), ErrorKind.DRM)
    yield Case("encrypted/book.aax", m4a.replace(b"ftypisom", b"ftypaax "), ErrorKind.DRM)
    wma = muxed(music(), RATE, "asf", "wmav2")
    size, objects = struct.unpack("<QI", wma[16:28])
    lock = next(iter(ASF_OBJECTS)) + struct.pack("<Q", 24)
    header = wma[:16] + struct.pack("<QI", size + 24, objects + 1) + wma[28:30]
    yield Case("encrypted/licensed.wma", header + lock + wma[30:], ErrorKind.DRM)


def bombs() -> Iterator[Case]:
    """Small files that claim to be huge: each is refused before memory is taken, or is harmless."""
    wave = encoded(music(), RATE)
    yield Case("bombs/65535 channels.wav", wave[:22] + b"\xff\xff" + wave[24:], ErrorKind.BAD_HEADER)
    yield Case("bombs/no channels.wav", wave[:22] + bytes(2) + wave[24:], ErrorKind.BAD_HEADER)
    at = wave.index(b"data") + 4
    yield Case(
        "bombs/2 GB declared.wav",
        wave[:at] + struct.pack("<I", 2**31 - 9_000) + wave[at + 4 :],
        ErrorKind.TRUNCATED,
    )
    flac = bytearray(encoded(music(), RATE, "FLAC"))
    flac[21] = flac[21] & 0xF0 | 0x0F
    flac[22:26] = b"\xff" * 4  # 2**36 - 1 samples: eighteen days
    yield Case("bombs/days declared.flac", bytes(flac), ErrorKind.TOO_LONG)
