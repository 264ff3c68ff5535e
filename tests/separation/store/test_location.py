import io
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from separation.errors import StorageError
from separation.store.location import Location
from separation.store.retry import RetryPolicy


class Shortening(MemoryFileSystem):
    """A store that loses the last byte of a download, `failures` times."""

    failures = 0

    def open(self, path: str, mode: str = "rb", **more: object) -> io.BytesIO:
        data = self.cat_file(path)
        shortened = data[:-1] if self.failures else data
        self.failures -= self.failures > 0
        return io.BytesIO(shortened)


def test_a_download_that_arrives_short_is_tried_again_and_given_up_in_the_end(tmp_path: Path) -> None:
    fs = Shortening(skip_instance_cache=True)
    fs.store[f"{tmp_path}/song"] = MemoryFile(fs, f"{tmp_path}/song", b"audio")
    song = Location(f"memory:/{tmp_path}/song", fs, f"{tmp_path}/song", RetryPolicy(damaged_tries=3))
    fs.failures = 2
    assert song.download(tmp_path / "copy", None) == song.stat().etag
    assert (tmp_path / "copy").read_bytes() == b"audio"
    fs.failures = 3
    with pytest.raises(StorageError, match=r"song: 4 bytes arrived of 5 \(3 times\)"):
        song.download(tmp_path / "copy", None)
