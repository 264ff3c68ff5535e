"""Files that systems, not people, leave in folders of music: forks, thumbnails, trash, snapshots.

Many have audio names, and none is a track. A leading dot alone says nothing: `.38 Special/` is music.
"""

import re

# Names as regular expressions.
_FOLDERS = (
    *(r"\.AppleD(ouble|B|esktop)", r"\.Spotlight-V100", r"\.DocumentRevisions-V100", "__MACOSX"),  # macOS
    *(r"\.Trash(es|-\d+)?", r"\.fseventsd", r"\.TemporaryItems"),  # macOS and Linux
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", r"\.@__thumb"),  # Synology, QNAP
    *(r"\$RECYCLE\.BIN", r"\$Recycle\.Bin", "RECYCLER", "System Volume Information"),  # Windows
    *(r"\.snapshots?", r"\.zfs", r"lost\+found"),  # file systems
    *(r"\.stversions", r"\.sync", r"\.dropbox\.cache", r"\.git", r"\.svn", r"\.thumbnails"),  # programs
)
_FILES = (r"\._[^/]*", r"\.DS_Store", r"\.nfs[0-9a-f]{16,}", r"\.fuse_hidden[0-9a-f]+")
_LITTER = re.compile(f"(?:^|/)(?:(?:{'|'.join(_FOLDERS)})/|(?:{'|'.join(_FILES)})$)")


def is_litter(path: str) -> bool:
    """Whether a file, by its path below a catalogue's folder, is none that people keep."""
    return _LITTER.search(path) is not None
