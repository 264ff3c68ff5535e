"""Files that are decoded, with or without a warning, and near relatives of theirs that are not."""

import struct
from collections.abc import Iterator

import numpy as np

from separation.errors import ErrorKind, WarningKind
from tests.corpus import dsd, dts, ogg
from tests.corpus.case import AUDIO_SIZES, RATE, Case, ape_tag, id3, mp3, music, with_audio_size
from tests.corpus.matroska import laced_alac
from tests.sounds import encoded, muxed

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
    wave = encoded(music(), RATE)
    twice = wave + wave[wave.index(b"data") :]
    yield Case("two truths/two data chunks.wav", twice, warnings=(WarningKind.LENGTH,))
    whole = twice[:4] + struct.pack("<I", len(twice) - 8) + twice[8:]
    yield Case("two truths/two counted data chunks.wav", whole, warnings=(WarningKind.LENGTH,))
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
