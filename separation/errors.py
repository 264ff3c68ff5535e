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

from separation.showing import shown, without_credentials


class Kind(StrEnum):
    """Why a track could not be done; the `error_kind` of the tracks table."""

    EMPTY = "empty"  # no bytes, or no samples
    NOT_AUDIO = "not_audio"  # no decoder knows the bytes
    UNSUPPORTED = "unsupported"  # audio, but of a kind that we do not take (codec, channels, rate)
    TRUNCATED = "truncated"  # the file ends before its own header says
    CORRUPT = "corrupt"  # the decoder stopped at damaged data
    BAD_HEADER = "bad_header"  # the header contradicts itself or the file
    TOO_LONG = "too_long"  # longer than the limit on duration
    TOO_LARGE = "too_large"  # more bytes than the limit on size
    NONFINITE = "nonfinite"  # NaN or infinite samples
    BAD_KEY = "bad_key"  # the key cannot be a path below the output
    CHANGED = "changed"  # the source was replaced while it was read
    MISSING = "missing"  # listed, but not there when it was read
    DENIED = "denied"  # there, but not for us to read
    CRASHED = "crashed"  # a process died on it, repeatedly


class SeparationError(Exception):
    """Base of the tree."""


class TrackError(SeparationError):
    def __init__(self, uri: str, kind: Kind, reason: str):
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
