"""Chooses the library that decodes a file, after refusing what its headers alone show to be unusable.

libsndfile reads uncompressed audio, where it can seek to the exact sample; FLAC, whose damage it reports; and
Vorbis of one page, of which ffmpeg mistakes the length. ffmpeg reads everything else. libsndfile also knows
MP3 and longer Ogg, but silently drops a third of a VBR MP3 without a Xing header, and all streams but the
first of a file with several joined MP3 or Ogg streams.
"""

import os
from typing import BinaryIO

import soundfile

from separation.audio.decoders import Decoder, OnProgress, ignore_progress
from separation.audio.decoders.bitstream import bitstream_file, find_bitstream
from separation.audio.decoders.ffmpeg import FfmpegDecoder
from separation.audio.decoders.ffmpeg_container import declared_channel_names
from separation.audio.decoders.libsndfile import LibsndfileDecoder, can_seek_exactly, has_signature
from separation.audio.headers import behind, caf, drm, matroska, ogg, riff, tags
from separation.audio.part import part, with_zeros
from separation.errors import ErrorKind, TrackError

HEADER_BYTES = 128  # Some writers count the header as audio. Players read it, and no upload breaks off there.


def open_decoder(file: BinaryIO, uri: str, on_progress: OnProgress = ignore_progress) -> Decoder:
    """The decoder for this file; raises `TrackError` if no library reads it."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise TrackError(uri, ErrorKind.EMPTY, "an object of 0 bytes")
    tags.refuse_lone_tag(file, uri, size)
    if begin := tags.mpeg_begin(file, tags.tags_end(file)):
        # The headers behind it count bytes from their own begin.
        file, size = part(file, begin, size), size - begin
    drm.refuse_encrypted(file, uri)
    end = riff.declared_end(file)
    if end is not None and end > size + HEADER_BYTES:
        raise TrackError(
            uri,
            ErrorKind.TRUNCATED,
            f"the header declares {begin + end} bytes; the object has {begin + size}",
        )
    warnings = behind.warnings_after_chunks(file, end) if end is not None else []
    audio = _audio_of(file, size, end)
    ogg.refuse_truncated(audio, uri)
    matroska.refuse_truncated(audio, uri)
    if (padding := caf.whole_packet_of_padding(audio)) is not None:
        audio = with_zeros(audio, padding, padding + 4)
    decoder: Decoder = _decoder(audio, uri, on_progress)
    if (format := find_bitstream(decoder, uri)) is not None:
        decoder = FfmpegDecoder(bitstream_file(decoder), uri, on_progress, format)
    decoder.warnings += warnings
    return decoder


def _audio_of(file: BinaryIO, size: int, end: int | None) -> BinaryIO:
    """The file without what decoders take for audio: tags at its end; of Wave64, what follows byte `end`."""
    layout = riff.layout_of(file)
    if layout is None:
        end = tags.tags_begin(file)
    elif layout is not riff.WAVE64:
        return file  # its decoders stop at the declared end, and read chunks that follow
    return part(file, 0, end) if end is not None and end < size else file


def _decoder(file: BinaryIO, uri: str, on_progress: OnProgress) -> Decoder:
    sound = _open_libsndfile(file, uri)
    if sound is None or not can_seek_exactly(sound):
        return FfmpegDecoder(file, uri, on_progress)
    names = declared_channel_names(file, uri) if sound.channels > 2 else ()
    return LibsndfileDecoder(file, sound, names, uri, on_progress)


def _open_libsndfile(file: BinaryIO, uri: str) -> soundfile.SoundFile | None:
    """The file as libsndfile opens it; None if it is for ffmpeg to try."""
    if not has_signature(file):
        return None
    file.seek(0)
    try:
        return soundfile.SoundFile(file)
    except TypeError:  # the file's name ends in .raw, for which soundfile expects headerless data
        return None
    except soundfile.LibsndfileError as error:
        try:
            FfmpegDecoder(file, uri)  # it knows more codecs inside WAV
        except TrackError as other:
            if other.kind in (ErrorKind.UNSUPPORTED, ErrorKind.EMPTY):
                raise
            reason = f"libsndfile: {error.error_string or 'damaged header'}"
            raise TrackError(uri, ErrorKind.BAD_HEADER, reason) from error
        return None
