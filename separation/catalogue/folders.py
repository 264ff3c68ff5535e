"""The tracks below a folder, or those that a glob names; `litter` is left out and counted."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from separation.catalogue.litter import is_litter
from separation.console import counted
from separation.store.objects import Store

# Extensions that a folder takes; a glob takes whatever it names.
_AUDIO = """aac ac3 aif aifc aiff alac amr ape au caf dff dsf flac m4a m4b mka mp2 mp3 mp4 mpc oga ogg opus
rf64 snd spx tta w64 wav wave webm wma wv"""
AUDIO = frozenset(_AUDIO.split())
NO_AUDIO_NAME = "without an audio name"
LITTER = "of the system (._x, trash, snapshots)"
OF_THE_OUTPUT = "of the output"
WITHIN_OUTPUT = "within the output {}, where a run leaves its own files; choose an {} elsewhere"


class FolderListing:
    """The tracks of `uri`, absolute: a folder, a glob, or one file with an audio name.

    Iterating gives each track's path below the folder and its URI, sorted; `left_out` is complete after it.
    """

    def __init__(self, uri: str, store: Store):
        self._uri, self._store = uri, store
        self._folder, self.pattern = split_pattern(uri, store)  # the pattern is empty for a folder
        self.left_out = {NO_AUDIO_NAME: 0, LITTER: 0}  # which files are no tracks -> how many

    @property
    def prefix(self) -> str:
        """How the URIs of all files below the folder begin."""
        return f"{self._folder.rstrip('/')}/"

    def __iter__(self) -> Iterator[tuple[str, str]]:
        is_asked_for = is_litter(self.pattern)
        for file in self._store.find_files(self._folder, self.pattern):
            is_named = file.uri == self._uri
            path = PurePosixPath(file.uri).name if is_named else file.uri.removeprefix(self.prefix)
            if is_litter(path) and not (is_asked_for or is_named):
                self.left_out[LITTER] += 1
            elif self.pattern or extension(file.uri) in AUDIO:
                yield path, file.uri
            else:
                self.left_out[NO_AUDIO_NAME] += 1


def split_pattern(uri: str, store: Store) -> tuple[str, str]:
    """The folder of a glob, and the pattern of the paths below it, which is empty for any other URI.

    A step such as `[live]` is a pattern only if nothing is there under that very name.
    """
    steps = uri.split("/")
    for at in range(3 if "://" in uri else 1, len(steps)):
        named = "/".join(steps[: at + 1])
        if any(mark in steps[at] for mark in "*?[") and not any(store.list_files(named)):
            return "/".join(steps[:at]) or "/", "/".join(steps[at:])
    return uri, ""


def extension(uri: str) -> str:
    """In lower case, without its dot."""
    return PurePosixPath(uri.rpartition("/")[2]).suffix[1:].lower()


def describe_left_out(left_out: dict[str, int]) -> str:
    """`3 files without an audio name, 2 files of the output`; empty if there are none."""
    return ", ".join(counted(count, "file") + f" {which}" for which, count in left_out.items() if count)
