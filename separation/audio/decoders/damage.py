"""How much of a compressed stream could not be decoded, and whether that is too much."""

from dataclasses import dataclass

from separation.errors import ErrorKind, TrackError, WarningKind

# Share of a lossy file that may be damaged: 1 % passes, e.g. a tag mistaken for the last packet.
LOSS_ALLOWED = 0.01


@dataclass
class Damage:
    """Counts of one pass over a stream."""

    packets: int = 0
    bytes: int = 0  # of all packets
    bad_packets: int = 0
    bad_bytes: int = 0
    missing: int = 0  # samples that the timestamps skip
    stop: str = ""  # why no further packet was found, if not for the end of the file

    def share(self, samples: int) -> float:
        """The damaged share of a stream of which `samples` were decoded: by bytes or by time, the larger."""
        return max(self.bad_bytes / max(1, self.bytes), self.missing / max(1, samples + self.missing))

    def warnings(self, samples: int, rate: int, codec: str, is_lossless: bool, uri: str) -> list[str]:
        """The warning about a whole pass at `rate` Hz; raises `TrackError` if too much is lost."""
        share = self.share(samples)
        found = (
            f"{self.bad_packets} of {self.packets} packets cannot be decoded, "
            f"{self.missing / rate:.2f} s are missing"
        )
        allowed = 0.0 if is_lossless else LOSS_ALLOWED
        if share > allowed and (self.missing or self.bad_packets > 1 or is_lossless):
            raise TrackError(uri, ErrorKind.CORRUPT, f"damaged {codec} data: {found}")
        return [WarningKind.RECOVERED.warning(f"{found} and left out")] if share else []
