"""Opens files with ffmpeg (PyAV), restricted to known audio formats and codecs.

Files are untrusted. Without these lists, a playlist named song.mp3 would make ffmpeg open other files or
addresses, and a cover picture would run a picture decoder.
"""

import errno
from itertools import islice
from typing import BinaryIO

import av
from av.codec.context import Flags2
from av.error import FFmpegError

from separation.audio.headers.signatures import why_unreadable
from separation.errors import ErrorKind, TrackError

_FORMATS = """aac ac3 aiff amr ape asf au caf dsf dts eac3 flac iff matroska mov mp3 mpc mpc8 ogg spdif tak
tta w64 wav wv"""
_CODECS = """aac ac3 adpcm_ima_qt adpcm_ima_wav adpcm_ms alac amrnb amrwb ape dca dsd_lsbf dsd_lsbf_planar
dsd_msbf dsd_msbf_planar eac3 flac gsm gsm_ms libopus mp1 mp1float mp2 mp2float mp3 mp3float mpc7 mpc8 opus
speex tak tta vorbis wavpack wmalossless wmapro wmav1 wmav2"""
_PCM = {name for name in av.codecs_available if name.startswith("pcm_")} - {"pcm_s64le", "pcm_s64be"}
CODECS = {*_CODECS.split(), *_PCM}  # PyAV has no samples of 64-bit integers
OPTIONS = {
    "format_whitelist": ",".join(_FORMATS.split()),
    "codec_whitelist": ",".join(sorted(CODECS)),
    "protocol_whitelist": "none",  # the bytes come from our open file; ffmpeg may open nothing itself
}
LOSSLESS = {"flac", "alac", "wavpack", "tta", "tak", "ape", "wmalossless"}


def open_container(file: BinaryIO, uri: str, format: str | None = None) -> "av.container.InputContainer":
    """The file as ffmpeg opens it, by `format` if given; its first audio stream has one of CODECS."""
    file.seek(0)
    try:
        container = av.open(file, mode="r", format=format, options=OPTIONS, metadata_errors="replace")
    except FFmpegError as error:
        raise_if_out_of_memory(error)
        kind, reason = why_unreadable(file)
        raise TrackError(uri, kind, reason) from error
    streams = container.streams.audio
    context = streams[0].codec_context if streams else None
    if context is None or context.name not in CODECS:
        name = format_name(container)
        container.close()
        if not streams:
            raise TrackError(uri, ErrorKind.NO_AUDIO_STREAM, f"{name} without an audio stream")
        codec = context.name if context is not None else "unknown"
        raise TrackError(uri, ErrorKind.UNSUPPORTED, f"{name} with the unsupported codec {codec}")
    context.thread_count = 1
    if context.name in LOSSLESS:
        context.options = {"err_detect": "crccheck+explode"}  # else ffmpeg silently drops a damaged frame
    if context.name == "alac" and format_name(container) == "caf":
        context.flags2 |= Flags2.skip_manual  # the last packet is short as it is; ffmpeg would cut it again
    return container


def declared_channel_names(file: BinaryIO, uri: str) -> tuple[str, ...]:
    """The channels that a file's header names, by ffmpeg's names; empty if it names none."""
    try:
        with open_container(file, uri) as container:
            return tuple(channel.name for channel in container.streams.audio[0].codec_context.layout.channels)
    except TrackError:
        return ()


def has_frame_from(file: BinaryIO, uri: str, sample: int) -> bool:
    """Whether a FLAC holds a frame that begins at `sample` or later."""
    try:
        with open_container(file, uri) as container:
            stream = container.streams.audio[0]
            container.seek(sample, stream=stream)  # to the frame before, at most
            packets = islice(container.demux(stream), 3)
            return any(packet.pts is not None and packet.pts >= sample for packet in packets)
    except (FFmpegError, TrackError):
        return False


def format_name(container: "av.container.InputContainer") -> str:
    return str(container.format.name.partition(",")[0])


def raise_if_out_of_memory(error: FFmpegError) -> None:
    """Raises MemoryError if that is what `error` means: it ends the process, and is no damage of a packet."""
    if error.errno == errno.ENOMEM:
        raise MemoryError from error
