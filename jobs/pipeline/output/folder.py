"""An output as programs read it: of what its tables name, only what lies below the output."""

import os
from dataclasses import dataclass
from typing import Self

from jobs.pipeline.output.run_record import RunRecord
from separation.errors import TrackError, UsageError
from separation.options import Options
from separation.store.filesystems import is_local, join, local_path
from separation.store.objects import Store

DEFAULTS = Options()


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """Where an output is, and the folder that its tables name; they differ once an output was moved.

    `options` are those that made its stems.
    """

    uri: str
    written_to: str
    store: Store
    options: Options = DEFAULTS

    @classmethod
    def of(cls, record: RunRecord | None, uri: str, store: Store) -> Self:
        """The output at `uri`, whose run.json is `record`."""
        record = record or RunRecord()
        try:
            options = record.settings.parse_options()
        except UsageError:  # of a later version
            options = DEFAULTS
        return cls(uri, record.output or uri, store, options)

    def key_below(self, uri: str) -> str:
        """The path of `uri` below the folder of stems; empty if it is elsewhere."""
        path = path_of(uri)
        for root in (self.written_to, self.uri):
            folder = join(path_of(root), "stems/")
            if path.startswith(folder):
                key = path.removeprefix(folder)
                return "" if {"", ".", ".."} & set(key.split("/")) else key
        return ""

    def stem_key(self, track_id: str, stem: str, uri: str | None) -> str:
        """The path below the folder of stems of the file that a row of `timings` names.

        A row of before an earlier move names a third folder; then track, stem and options give the path.
        Empty for a file elsewhere.
        """
        if not uri:
            return ""
        if key := self.key_below(uri):
            return key
        try:
            derived = self.options.path(track_id, stem)
        except TrackError:
            return ""
        return derived if path_of(uri).endswith(f"/stems/{derived}") else ""

    def stem_uri(self, key: str) -> str:
        """Where to read the stem with this key."""
        return join(self.uri, f"stems/{key}")

    def leads_out(self, uri: str) -> bool:
        """Whether a link on a local disk makes `uri` another folder's file."""
        if not is_local(uri):
            return False
        root, file = (os.path.realpath(local_path(each)) for each in (self.stem_uri(""), uri))
        return os.path.commonpath([root, file]) != root


def path_of(uri: str) -> str:
    """The URI without its protocol."""
    return uri.partition("://")[2] or uri
