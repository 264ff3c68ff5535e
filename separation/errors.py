"""Everything that can go wrong, as one tree.

SeparationError
├── TrackError        one track cannot be done; the others go on
├── LocatedError
│   ├── ModelError    a model folder, file or graph is not what it says; nothing can go on
│   └── StorageError  a store does not answer, or refuses; nothing can go on
├── WrongProvider     the session does not run where it was asked to
├── PlanError         the job does not fit the cluster
└── UsageError        the request contradicts itself

Each keeps its raw arguments, so that it unpickles in another process. Its text names files as they may be
logged: without credentials, and with what steers a terminal as escapes.
"""

from enum import StrEnum

from separation.store.redact import plain, shown, without_credentials


class ErrorKind(StrEnum):
    """Why a track could not be done; the `error_kind` of the tracks table. README has the same table."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "ErrorKind":
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member

    EMPTY = "empty", "No bytes, or a header without one sample."
    NOT_AUDIO = "not_audio", "No decoder knows the bytes: text, pictures, archives."
    NO_AUDIO_STREAM = "no_audio_stream", "A media file without sound: video only, or a tag or cover only."
    TRUNCATED = "truncated", "The file ends before its own header says."
    CORRUPT = "corrupt", "More than 1 % of the file, or any of a lossless file's data, cannot be decoded."
    UNSUPPORTED = "unsupported", "Audio, but its codec, channels or rate (8 to 192 kHz) cannot be separated."
    BAD_HEADER = "bad_header", "The header contradicts itself or the file."
    TOO_LONG = "too_long", "Longer than `--max-hours`."
    TOO_LARGE = "too_large", "More bytes than `--max-source-gb`, or decoding takes more than `--decoder-gb`."
    NONFINITE = "nonfinite", "Samples that are NaN, infinite or too large to compute with."
    BAD_KEY = "bad_key", "The track's id is empty, double, or cannot be a path below the output."
    DRM = "drm", "Encrypted by a shop or a player."
    CHANGED = "changed", "The source was replaced while it was read."
    MISSING = "missing", "Listed, but not there when it was read."
    DENIED = "denied", "There, but not for us to read."
    CRASHED = "crashed", "A process died on it, three times, or its decoder gave no samples for 45 s."


class WarningKind(StrEnum):
    """What was unusual about a track that was done; the first word of each of its row's `warnings`."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "WarningKind":
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member

    DOWNMIX = "downmix", "More than two channels were mixed to stereo."
    LEVEL = "level", "Silence, channels that cancel, or samples far below or above full scale."
    LENGTH = "length", "The decoded length is not the declared one, or bytes follow that are not audio."
    RECOVERED = "recovered", "Damaged places, under 1 % of a lossy file, were left out."

    def warning(self, detail: str) -> str:
        """As it stands in the row."""
        return f"{self}: {plain(detail)}"


class SeparationError(Exception):
    """Base of the tree."""


class TrackError(SeparationError):
    def __init__(self, uri: str, kind: ErrorKind, reason: str):
        super().__init__(uri, kind, reason)
        self.uri, self.kind, self.reason = uri, kind, reason

    def __str__(self) -> str:
        return f"{shown(self.uri)}: {self.kind}: {shown(self.reason)}"


class LocatedError(SeparationError):
    def __init__(self, uri: str, reason: str):
        super().__init__(uri, reason)
        self.uri, self.reason = uri, reason

    def __str__(self) -> str:
        return f"{shown(self.uri)}: {without_credentials(self.reason)}"


class ModelError(LocatedError):
    """A model folder, file or graph that is not what it says."""


class StorageError(LocatedError):
    """A store that does not answer, or refuses."""


class WrongProvider(SeparationError):
    def __init__(self, stem: str, wanted: str, found: str):
        super().__init__(stem, wanted, found)
        self.stem, self.wanted, self.found = stem, wanted, found

    def __str__(self) -> str:
        return f"{self.stem}: the session runs on {self.found}; asked for {self.wanted}"


class PlanError(SeparationError):
    """The job does not fit the cluster; says which number is short of which."""


class UsageError(SeparationError):
    """Options that contradict each other or the models."""
