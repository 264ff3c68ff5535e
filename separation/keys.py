"""Which track ids can be folders below an output."""

from separation.errors import Kind, TrackError


def check_track_id(uri: str, track_id: str) -> None:
    """Raises `TrackError(BAD_KEY)` for an id that is empty, leaves the output or hides in it."""
    steps = track_id.split("/")
    if bad := [step for step in steps if step in ("", ".", "..")]:
        raise TrackError(
            uri, Kind.BAD_KEY, f"{track_id!r} has the step {bad[0]!r}, which is no folder's name"
        )
    if any(ord(character) < 32 or character == "\x7f" for character in track_id):
        raise TrackError(uri, Kind.BAD_KEY, f"{track_id!r} holds a control character")
