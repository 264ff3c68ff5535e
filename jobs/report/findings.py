"""Tracks in error, and tracks with warnings, by kind and sentence."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from jobs.report.entries import Example, KindGroup

SENTENCES = 6  # listed per kind
KINDS = 40  # more than there are; tables that somebody else wrote may have any number
OTHER_KINDS = "other kinds"


class Findings:
    """Counts tracks by kind, and by the sentences that are listed."""

    def __init__(self) -> None:
        self._tracks: Counter[str] = Counter()
        self._examples: dict[str, dict[str, Example]] = {}

    def add_errors(self, bad: pa.Table) -> None:
        """The rows of tracks in error."""
        for row in bad.select(["track_id", "error_kind", "error"]).to_pylist():
            self._add(row["error_kind"] or "unknown", row["error"] or "no sentence", row["track_id"])

    def add_warnings(self, tracks: pa.Table) -> None:
        """Any rows; a track counts once for each kind of its warnings, which read `kind: detail`."""
        some = tracks.filter(pc.greater(pc.list_value_length(tracks["warnings"]), 0))
        for row in some.select(["track_id", "warnings"]).to_pylist():
            parts = [(warning or "").partition(": ") for warning in row["warnings"]]
            for kind, detail in {kind: detail for kind, _, detail in reversed(parts)}.items():
                self._add(kind or "unknown", detail or "no detail", row["track_id"])

    def _add(self, kind: str, sentence: str, track_id: str) -> None:
        if kind not in self._tracks and len(self._tracks) >= KINDS:
            kind = OTHER_KINDS
        self._tracks[kind] += 1
        examples = self._examples.setdefault(kind, {})
        if sentence not in examples and len(examples) < SENTENCES:
            examples[sentence] = Example(sentence, track_id)
        if sentence in examples:
            examples[sentence].count += 1

    def groups(self) -> list[KindGroup]:
        """The most frequent kind first."""
        counts = sorted(self._tracks.items(), key=lambda item: (-item[1], item[0]))
        return [KindGroup(kind, count, list(self._examples[kind].values())) for kind, count in counts]
