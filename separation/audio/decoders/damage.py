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

    @property
    def bad_share(self) -> float:
        """Bytes of packets that cannot be decoded, of all."""
        return self.bad_bytes / max(1, self.bytes)

    def missing_share(self, samples: int) -> float:
        """Missing samples of all, if `samples` were decoded."""
        return self.missing / max(1, samples + self.missing)

    def warnings(self, samples: int, rate: int, codec: str, is_lossless: bool, uri: str) -> list[str]:
        """The warning about a whole pass at `rate` Hz; raises `TrackError` if too much is lost."""
        share = max(self.bad_share, self.missing_share(samples))
        found = (
            f"{self.bad_packets} of {self.packets} packets ({self.bad_share:.1%} of the bytes) cannot be "
            f"decoded, {self.missing / rate:.2f} s ({self.missing_share(samples):.1%}) are missing"
        )
        allowed = 0.0 if is_lossless else LOSS_ALLOWED
        if share > allowed and (self.missing or self.bad_packets > 1 or is_lossless):
            raise TrackError(uri, ErrorKind.CORRUPT, f"damaged {codec} data: {found}")
        return [WarningKind.RECOVERED.warning(f"{found} and left out")] if share else []
