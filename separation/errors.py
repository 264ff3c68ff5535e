"""All errors of the core, as one tree.

SeparationError
├── TrackError        one track cannot be separated; the others go on
├── LocatedError
│   ├── ModelError    a model folder, file or graph is wrong; the run stops
│   └── StorageError  a store does not answer, or refuses; the run stops
│       └── SourceUnreachable  so does a source's: its track stays pending, the others go on
├── WrongProvider     a session runs on another device than was asked for
├── DeviceError       a GPU, its driver or a library of CUDA is missing or fails; the run stops
├── PlanError         the job does not fit the cluster
└── UsageError        the options contradict each other or the models

Each keeps its raw arguments, so that it unpickles in another process. Its text is safe to log: URIs without
credentials, control characters escaped.
"""

from enum import StrEnum
from typing import Self

from separation.store.redact import plain, shown


class ExplainedEnum(StrEnum):
    """Words that stand in tables, each with its `meaning`: those of docs/output.md are written from it."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member


class ErrorKind(ExplainedEnum):
    """Why a track could not be separated: `error_kind` in the tracks table. docs/output.md has the same."""

    EMPTY = "empty", "No bytes, or a header and no samples."
    NOT_AUDIO = "not_audio", "Not an audio file: text, a picture, an archive."
    NO_AUDIO_STREAM = (
        "no_audio_stream",
        "A media file without an audio stream: only video, or only a tag or cover.",
    )
    TRUNCATED = "truncated", "The file ends earlier than its header declares."
    CORRUPT = "corrupt", "More than 1 % of a lossy file, or any part of a lossless one, cannot be decoded."
    UNSUPPORTED = (
        "unsupported",
        "Audio, but not with a supported codec, channel count (1 to 16) or sample rate (8 to 1,536 kHz).",
    )
    BAD_HEADER = "bad_header", "The header contradicts itself or the file."
    TOO_LONG = "too_long", "Longer than `--max-hours`."
    TOO_LARGE = "too_large", "More bytes than `--max-source-gb`, or decoding takes more than `--decoder-gb`."
    NONFINITE = (
        "nonfinite",
        "Samples that are NaN, infinite or too large to compute with, in the file or in a stem that the "
        "models gave.",
    )
    BAD_KEY = "bad_key", "The track id is empty, used twice, or cannot be a path below the output."
    BAD_URI = (
        "bad_uri",
        "No address of a file: a scheme that is not offered, one that is malformed, or that redirects to "
        "none.",
    )
    DRM = "drm", "Encrypted (DRM)."
    CHANGED = "changed", "The source was replaced while it was read."
    MISSING = "missing", "Listed in the catalogue, but gone when it was read."
    DENIED = "denied", "It exists, but the store denies access to it."
    CRASHED = (
        "crashed",
        "It killed its worker or its decoder three times, or its decoder stalled for 45 s.",
    )


class WarningKind(ExplainedEnum):
    """What was unusual about a separated track: the first word of each entry of `warnings` in its row."""

    DOWNMIX = "downmix", "More than two channels were mixed to stereo."
    STREAMS = (
        "streams",
        "The file has several audio streams, such as languages; only the first was separated.",
    )
    LEVEL = "level", "Silence, channels that cancel, or samples far below or above full scale."
    LENGTH = (
        "length",
        "The decoded length differs from the declared one, or a second file, or audio that no header counts, "
        "is left out.",
    )
    RECOVERED = "recovered", "Damaged parts, under 1 % of a lossy file, were left out."

    def warning(self, detail: str) -> str:
        """An entry of `warnings`: this kind, and `detail` in words."""
        return f"{self}: {plain(detail)}"


class SeparationError(Exception):
    """Base class of all errors that users can cause or mend."""

    def __str__(self) -> str:
        return shown(super().__str__())


class TrackError(SeparationError):
    """One track cannot be separated; `uri` is its file."""

    def __init__(self, uri: str, kind: ErrorKind, reason: str):
        super().__init__(uri, kind, reason)
        self.uri, self.kind, self.reason = uri, kind, reason

    def __str__(self) -> str:
        return f"{shown(self.uri)}: {self.kind}: {shown(self.reason)}"


class LocatedError(SeparationError):
    """An error at `uri`: a file, a folder or an object of a store."""

    def __init__(self, uri: str, reason: str):
        super().__init__(uri, reason)
        self.uri, self.reason = uri, reason

    def __str__(self) -> str:
        return f"{shown(self.uri)}: {shown(self.reason)}"


class ModelError(LocatedError):
    """A model folder, file or graph that is missing, damaged, or not what bag.json says."""


class StorageError(LocatedError):
    """A store that does not answer, or refuses."""


class SourceUnreachable(StorageError):
    """A source whose store does not answer or refuses, which says nothing about the track."""


class WrongProvider(SeparationError):
    """The session of `stem` runs on `found`: engines may fall back to a CPU without an error."""

    def __init__(self, stem: str, wanted: str, found: str):
        super().__init__(stem, wanted, found)
        self.stem, self.wanted, self.found = stem, wanted, found

    def __str__(self) -> str:
        return f"{self.stem}: the session runs on {self.found}; asked for {self.wanted}"


class DeviceError(SeparationError):
    """A GPU that cannot be used: the text says whether it, its driver or a library of CUDA is the cause."""


class PlanError(SeparationError):
    """The job does not fit the cluster; the text names the resource that is short, needed and found."""


class UsageError(SeparationError):
    """Options that contradict each other or the models."""
