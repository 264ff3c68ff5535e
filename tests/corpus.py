"""Over a hundred files like those of music catalogues, intact and damaged, each with its expected outcome.

Generated here from seeds: encoded by libsndfile and ffmpeg, then damaged. An outcome is a kind of error, or
the duration of the decoded track and the kinds of its warnings.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from separation.audio.headers.drm import ASF_OBJECTS
from separation.errors import ErrorKind, WarningKind
from tests import dsd, dts, ogg
from tests.matroska import laced_alac
from tests.sounds import encoded, muxed, tone

SECONDS = 2.0
RATE = 44_100


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    kind: ErrorKind | None = None  # of the error; None if the track is decoded
    seconds: float = SECONDS
    warnings: tuple[WarningKind, ...] = ()


def cases() -> list[Case]:
    found = [
        *intact(),
        *rates_and_channels(),
        *tags(),
        *unusual(),
        *two_truths(),
        *bitstreams(),
        *late(),
        *one_bit(),
        *cut(),
        *damaged(),
        *not_audio(),
        *encrypted(),
        *bombs(),
    ]
    assert len({case.name for case in found}) == len(found)
    return found


def music(rate: int = RATE, channels: int = 2, seconds: float = SECONDS) -> np.ndarray:
    """float32 (samples, channels): one tone per channel."""
    t = np.arange(int(seconds * rate)) / rate
    voices = [np.sin(2 * np.pi * (300 + 70 * channel) * t) for channel in range(channels)]
    return np.stack(voices, axis=1).astype(np.float32) / 3


SOUND = """wav:PCM_16 wav:PCM_U8 wav:PCM_24 wav:PCM_32 wav:FLOAT wav:DOUBLE wav:ULAW wav:ALAW wav:IMA_ADPCM
wav:MS_ADPCM wav:GSM610 wavex:PCM_24 rf64:PCM_16 w64:PCM_32 aiff:PCM_S8 aiff:PCM_16 aiff:FLOAT
au:PCM_16 au:FLOAT caf:PCM_24 caf:ALAC_16 flac:PCM_S8 flac:PCM_16 flac:PCM_24 ogg:VORBIS ogg:OPUS
mp3:MPEG_LAYER_III"""
MUXED = """mp3:libmp3lame mp2:mp2 adts:aac mp4:aac mov:aac mp4:alac caf:alac matroska:flac matroska:aac
matroska:alac webm:libopus ogg:libopus ogg:flac flac:flac wv:wavpack tta:tta asf:wmav2 asf:wmav1
ac3:ac3 eac3:eac3 aiff:pcm_s16be w64:pcm_s16le wav:pcm_s16le matroska:ac3"""


def intact() -> Iterator[Case]:
    for pair in SOUND.split():
        form, subtype = pair.split(":")
        rate, channels = (8_000, 1) if subtype == "GSM610" else (48_000 if subtype == "OPUS" else RATE, 2)
        data = encoded(music(rate, channels), rate, form.upper(), subtype)
        yield Case(f"whole/{form} {subtype.lower()}.{form}", data)
    for pair in MUXED.split():
        form, codec = pair.split(":")
        rate = 48_000 if codec == "libopus" else RATE
        yield Case(f"muxed/{form} {codec}.{form}", muxed(music(rate), rate, form, codec))


def rates_and_channels() -> Iterator[Case]:
    for rate in (8_000, 11_025, 22_050, 32_000, 44_099, 88_200, 176_400, 192_000, 384_000):
        yield Case(f"rates/{rate}.flac", encoded(music(rate), rate, "FLAC"))
    for rate, kind in (
        (1, ErrorKind.BAD_HEADER),
        (4_000, ErrorKind.UNSUPPORTED),
        (2_000_000, ErrorKind.UNSUPPORTED),
    ):
        data = encoded(music(), RATE)
        yield Case(f"rates/{rate}.wav", data[:24] + struct.pack("<I", rate) + data[28:], kind)
    for channels in (1, 3, 4, 5, 6, 7, 8, 16):
        mixed = (WarningKind.DOWNMIX,) if channels > 2 else ()
        yield Case(f"channels/{channels}.wav", encoded(music(RATE, channels), RATE), warnings=mixed)
        if channels <= 8:
            yield Case(
                f"channels/{channels}.flac", encoded(music(RATE, channels), RATE, "FLAC"), warnings=mixed
            )
    yield Case("channels/17.wav", encoded(music(RATE, 17), RATE), ErrorKind.UNSUPPORTED)


def mp3(samples: np.ndarray | None = None, **more: object) -> bytes:
    return encoded(music() if samples is None else samples, RATE, "MP3", "MPEG_LAYER_III", **more)


def id3(size: int) -> bytes:
    return b"ID3\4\0\0" + bytes((size >> shift) & 127 for shift in (21, 14, 7, 0)) + bytes(size)


def ape_tag(cover_bytes: int) -> bytes:
    """An APEv2 tag with a cover picture of noise."""
    cover = np.random.default_rng(3).bytes(cover_bytes)
    item = struct.pack("<II", cover_bytes, 2) + b"Cover Art (Front)\0" + cover
    header, footer = (
        b"APETAGEX" + struct.pack("<IIII", 2_000, len(item) + 32, 1, flags) + bytes(8)
        for flags in (0xA000_0000, 0x8000_0000)
    )
    return header + item + footer


def tags() -> Iterator[Case]:
    yield Case("tags/front of 20 MB.mp3", id3(20_000_000) + mp3())
    yield Case("tags/behind.mp3", mp3() + b"TAG" + bytes(125))
    yield Case("tags/ape behind.mp3", mp3() + b"APETAGEX" + bytes(9_000))
    yield Case("tags/before flac.flac", id3(5_000) + encoded(music(), RATE, "FLAC"))
    yield Case("tags/latin.mp3", mp3() + b"TAGcaf\xe9" + bytes(121))
    yield Case("tags/alone.mp3", id3(50_000), ErrorKind.NO_AUDIO_STREAM)
    yield Case("tags/alone with its end.mp3", id3(50_000) + b"TAG" + bytes(125), ErrorKind.NO_AUDIO_STREAM)
    yield Case("tags/cut.mp3", id3(50_000)[:30_000], ErrorKind.TRUNCATED)
    wave = encoded(music(), RATE)
    for form, codec in (
        ("wv", "wavpack"),
        ("ogg", "libopus"),
        ("asf", "wmav2"),
        ("ac3", "ac3"),
        ("w64", "pcm_s16le"),
    ):
        rate = 48_000 if codec == "libopus" else RATE
        tagged = muxed(music(rate), rate, form, codec) + ape_tag(100_000) + b"TAG" + b"song".ljust(125, b"\0")
        yield Case(f"tags/behind {codec}.{form}", tagged)
    yield Case("tags/a chunk behind.wav", wave + b"id3 " + struct.pack("<I", 40_000) + bytes(40_000))


def unusual() -> Iterator[Case]:
    loud_and_soft = np.concatenate([music() / 1_000, music()])
    blind = mp3(loud_and_soft, bitrate_mode="VARIABLE").replace(b"Xing", bytes(4))
    yield Case("unusual/vbr without header.mp3", blind, seconds=4)
    yield Case("unusual/joined.mp3", mp3() * 3, seconds=6.14, warnings=(WarningKind.LENGTH,))
    vorbis = encoded(music(), RATE, "OGG", "VORBIS")
    yield Case("unusual/chained.ogg", vorbis * 2, seconds=4, warnings=(WarningKind.LENGTH,))
    wave = encoded(music(), RATE)
    yield Case("unusual/joined.wav", wave * 2, warnings=(WarningKind.LENGTH,))
    at = wave.index(b"data") + 4
    for name, size in (("0", bytes(4)), ("most", b"\xff" * 4)):
        yield Case(f"unusual/streamed {name}.wav", wave[:at] + size + wave[at + 4 :])
    flac = bytearray(encoded(music(), RATE, "FLAC"))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    yield Case("unusual/streamed.flac", bytes(flac))
    yield Case("unusual/silent.wav", encoded(music() * 0, RATE), warnings=(WarningKind.LEVEL,))
    yield Case(
        "unusual/cancelling.wav",
        encoded(music()[:, :1] * [1, -1], RATE, "WAV", "FLOAT"),
        warnings=(WarningKind.LEVEL,),
    )
    for level in (1e30, 1e4, 1e-6):
        samples = music() * np.float32(level)
        yield Case(
            f"unusual/peak {level:g}.wav",
            encoded(samples, RATE, "WAV", "FLOAT"),
            warnings=(WarningKind.LEVEL,),
        )
    for value in (np.nan, np.inf, -np.inf, 3e38):
        samples = music()
        samples[50_000, 1] = value
        yield Case(f"unusual/{value}.wav", encoded(samples, RATE, "WAV", "FLOAT"), ErrorKind.NONFINITE)
    yield Case("unusual/laced.mka", laced_alac(music(), RATE))
    yield Case("unusual/a wav called.mp3", encoded(music(), RATE))
    yield Case("unusual/an mp3 called.wav", mp3())
    yield Case("unusual/one sample.wav", encoded(music()[:1], RATE), seconds=0, warnings=(WarningKind.LEVEL,))


# Format -> where its header has the size of the audio: bytes to find, offset from them, layout, bytes
# counted besides.
AUDIO_SIZES = {
    "WAV": (b"data", 4, "<I", 0),
    "RF64": (b"ds64", 16, "<Q", 0),
    "W64": (b"data\xf3\xac", 16, "<Q", 24),
    "AIFF": (b"SSND", 4, ">I", 8),
    "AU": (b".snd", 8, ">I", 0),
    "CAF": (b"data", 4, ">q", 4),
}


def with_audio_size(data: bytes, form: str, size: int) -> bytes:
    """`data`, whose header declares `size` bytes of samples."""
    name, offset, layout, besides = AUDIO_SIZES[form]
    at = data.index(name) + offset
    field = struct.pack(layout, size + besides)
    return data[:at] + field + data[at + len(field) :]


def two_truths() -> Iterator[Case]:
    """Other audio than the header declares."""
    for form in AUDIO_SIZES:
        data = encoded(music(seconds=4), RATE, form)
        yield Case(
            f"two truths/size too small.{form.lower()}",
            with_audio_size(data, form, 2 * RATE * 4),
            warnings=(WarningKind.LENGTH,),
        )
        data = encoded(music(), RATE, form)
        for more in (8, 36):  # of the header, which the writer counted as audio
            name = f"two truths/size too large by {more}.{form.lower()}"
            yield Case(name, with_audio_size(data, form, 2 * RATE * 4 + more))
    for form in ("RF64", "W64", "AIFF", "AU", "CAF", "FLAC"):
        data = encoded(music(), RATE, form)
        yield Case(f"two truths/joined.{form.lower()}", data * 2, warnings=(WarningKind.LENGTH,))
    for form, codec in (("mp4", "aac"), ("tta", "tta")):
        yield Case(
            f"two truths/joined.{form}", muxed(music(), RATE, form, codec) * 2, warnings=(WarningKind.LENGTH,)
        )
    wavpack = muxed(music(), RATE, "wv", "wavpack")
    yield Case("two truths/zeros behind.wv", wavpack + bytes(9_000), warnings=(WarningKind.LENGTH,))
    yield Case("two truths/joined.wv", wavpack * 2, warnings=(WarningKind.LENGTH,))
    flac = bytearray(encoded(music(seconds=4), RATE, "FLAC"))
    flac[22:26] = struct.pack(">I", 2 * RATE)
    yield Case("two truths/counts too few.flac", bytes(flac), warnings=(WarningKind.LENGTH,))


def bitstreams() -> Iterator[Case]:
    """Compressed sound in PCM samples: at full scale, and noise to whoever takes it for music."""
    silence = (WarningKind.LEVEL,)
    for bits in (14, 16):
        samples = dts.samples(200, bits)
        seconds = len(samples) / RATE
        for form, subtype in (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16")):
            wide = samples if subtype == "PCM_16" else samples.astype(np.int32) << 16
            name = f"bitstreams/dts {bits} {subtype.lower()}.{form.lower()}"
            yield Case(name, encoded(wide, RATE, form, subtype), seconds=seconds, warnings=silence)
    late = np.concatenate([np.zeros((70_000, 2), np.int16), dts.samples(100)[333:]])
    yield Case("bitstreams/dts late.wav", encoded(late, RATE), seconds=99 * 512 / RATE, warnings=silence)
    floats = dts.samples(200).astype(np.float32) / 32_768
    yield Case("bitstreams/dts.wv", muxed(floats, RATE, "wv", "wavpack"), seconds=seconds, warnings=silence)


def late() -> Iterator[Case]:
    """Timestamps that count more than the samples that a decoder gives: a late begin, an encoder's delay."""
    opus = encoded(music(48_000, seconds=4), 48_000, "OGG", "OPUS")
    yield Case("late/first pages cut away.opus", ogg.without_first_pages(opus, 2), seconds=2.02)
    yield Case("late/from 10 s.opus", ogg.later(opus, 480_000), seconds=4)
    yield Case("late/a second skipped.opus", ogg.with_pre_skip(opus, 48_000), seconds=3)
    yield Case("late/from 9 s.mka", laced_alac(music(), RATE, start_s=9))
    for rate in (8_000, 11_025, 16_000):
        data = encoded(music(rate), rate, "MP3", "MPEG_LAYER_III")
        yield Case(f"late/delay at {rate}.mp3", data)
        yield Case(f"late/delay at {rate} cut.mp3", data[: len(data) * 2 // 3], ErrorKind.TRUNCATED)
    opus = ogg.later(opus, 480_000)
    yield Case("late/cut.opus", opus[: len(opus) * 2 // 3], ErrorKind.TRUNCATED)


def one_bit() -> Iterator[Case]:
    for name, write in (("sony.dsf", dsd.dsf), ("philips.dff", dsd.dff)):
        data = write(music(seconds=0.5))
        yield Case(f"dsd/{name}", data, seconds=0.5)
        yield Case(f"dsd/cut {name}", data[: len(data) * 2 // 3], ErrorKind.TRUNCATED)
    tagged = dsd.dsf(music(channels=1, seconds=0.5)) + id3(5_000)
    yield Case("dsd/mono with a tag.dsf", tagged, seconds=0.5)
    for form in ("WAV", "FLAC"):
        data = encoded(dsd.over_pcm(music(seconds=0.5)), 176_400, form, "PCM_24")
        yield Case(f"dsd/over pcm.{form.lower()}", data, ErrorKind.UNSUPPORTED)


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
    import io

    import av

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
