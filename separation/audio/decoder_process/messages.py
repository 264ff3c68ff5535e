"""What the two sides of a decoder process send each other over a Unix socket.

    Open(limits, sample_rate), with the file's descriptor   -> OPENED Opened | ERROR
    Read(start, stop)                                       -> BLOCK ..., END warnings | ERROR
    Close()                                                 -> END
    READY comes once, after the start, with the parts of the sandbox that the kernel lacks; HEARTBEAT whenever
    a second of decoding gave no block.

A request is JSON, sent in one piece. An answer is a header (kind, payload bytes) and the payload: JSON,
or for BLOCK the samples as float32 (2, n).
"""

import json
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum

from separation.audio.limits import Limits

REQUEST_BYTES = 65_536
ANSWER_HEADER = struct.Struct("<BQ")  # kind, bytes of the payload


class Answer(IntEnum):
    READY, OPENED, BLOCK, END, ERROR, HEARTBEAT = range(6)


@dataclass(frozen=True, slots=True)
class Open:
    limits: Limits
    sample_rate: int | None  # Hz, of the mix; None for the file's own


@dataclass(frozen=True, slots=True)
class Read:
    """Samples [start, stop) of the mix; `stop` None reads to the end."""

    start: int
    stop: int | None


@dataclass(frozen=True, slots=True)
class Close:
    pass


Request = Open | Read | Close


@dataclass(frozen=True, slots=True)
class Opened:
    """The attributes of a `reading.Reader`."""

    sample_rate_hz: int
    channels: int
    codec: str
    duration_s: float | None
    warnings: list[str]


def encode(request: Request) -> bytes:
    return json.dumps([type(request).__name__, asdict(request)]).encode()


def decode(data: bytes) -> Request:
    name, fields = json.loads(data)
    if name == "Open":
        return Open(Limits(**fields["limits"]), fields["sample_rate"])
    return Read(**fields) if name == "Read" else Close()
