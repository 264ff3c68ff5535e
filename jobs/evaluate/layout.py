"""Which files belong together: references and estimates, each a folder of tracks or a job's output.

    folder   <anything>/<track>/drums.wav ... mixture.wav      MUSDB18-HQ's layout, with or without subsets
    output   run.json, tracks/, stems/                         as jobs.separate writes it

A folder's stems are its audio files by name; an output's, those of its settings.

A track's name is its folder's path, or its id in an output: `test/A - B/mixture.wav` there and the folder
`test/A - B` are one track, `test/A - B`. Names on both sides match if one is the end of the other, so that
a catalogue `test/*/mixture.wav`, whose ids begin below `test`, finds its references below `test` or above.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.pipeline.output import run_record, tables
from jobs.pipeline.output.run_record import RunRecord
from jobs.pipeline.stem_order import stem_order
from separation.catalogue.folders import AUDIO
from separation.catalogue.litter import is_litter
from separation.errors import UsageError
from separation.store.filesystems import join
from separation.store.objects import Store

MIXTURE = "mixture"
BASELINE = "mix"  # the name of the estimates that are the mixture, for every stem


@dataclass(frozen=True, slots=True)
class TrackStems:
    files: Mapping[str, str]  # stem, or `mixture` -> URI
    gain: float = 1.0  # undoes what the job did against clipping
    error: str | None = None  # why there are no files, where that is known


MISSING = TrackStems({}, error="is missing")


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and what to score against it, by the name of the estimates."""

    track_id: str
    reference: TrackStems
    estimates: Mapping[str, TrackStems]


def find_tracks(uri: str, store: Store) -> dict[str, TrackStems]:
    """Name -> track, of a folder or an output; raises `UsageError` where there are none."""
    root = (uri if "://" in uri else os.path.abspath(uri)).rstrip("/")
    record = run_record.read(root, store)
    tracks = _in_output(root, record, store) if record else _in_folder(root, store)
    if not tracks:
        raise UsageError(f"{uri}: no track: expected folders with a file per stem, or a job's output")
    return tracks


def _in_folder(root: str, store: Store) -> dict[str, TrackStems]:
    tracks: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for file in store.list_files(root):
        path = PurePosixPath(file.uri.removeprefix(f"{root}/"))
        if path.suffix[1:].lower() not in AUDIO or is_litter(str(path)):
            continue
        files = tracks[_name(str(path.parent))]
        if path.stem in files:
            raise UsageError(f"{file.uri}: beside {files[path.stem]}; a track has one file per stem")
        files[path.stem] = file.uri
    if len(tracks) > 1:
        tracks.pop(_name("."), None)  # files beside the tracks' folders
    return {name: TrackStems(files) for name, files in tracks.items()}


def _in_output(root: str, record: RunRecord, store: Store) -> dict[str, TrackStems]:
    options = record.settings.parse_options()
    stems = sorted(record.settings.outputs, key=stem_order)
    rows = tables.read_table(root, "tracks", store, ["track_id", "uri", "status", "error", "clip_factor"])
    tracks: dict[str, TrackStems] = {}
    for row in rows.to_pylist():
        if row["status"] == "ok":
            paths = {stem: options.path(row["track_id"], stem) for stem in stems}
            files = {stem: join(root, f"stems/{path}") for stem, path in paths.items()}
            track = TrackStems({**files, MIXTURE: row["uri"]}, 1 / (row["clip_factor"] or 1.0))
        else:
            track = TrackStems({}, error=f"was not separated: {row['error']}")
        name = _name(row["track_id"])
        if name in tracks:
            raise UsageError(f"{root}: two of its tracks are {name!r}, {row['track_id']!r} among them")
        tracks[name] = track
    return tracks


def _name(path: str) -> str:
    """A track's name: `test/A - B/mixture.wav`, `test/A - B.wav` and `test/A - B` -> `test/A - B`."""
    name = PurePosixPath(path)
    if name.suffix[1:].lower() in AUDIO:
        name = name.with_suffix("")
    return str(name.parent if name.name == MIXTURE else name)


def pair(
    references: Mapping[str, TrackStems], sets: Mapping[str, Mapping[str, TrackStems]], baseline: bool
) -> tuple[list[Pair], dict[str, int]]:
    """A pair per reference, with an estimate of every set, and the number of tracks found in each set.

    An estimate that a set lacks is `MISSING`. Raises `UsageError` where a set has no track of the
    references, or where a name matches two.
    """
    pairs = []
    matches = {name: match(references, tracks) for name, tracks in sets.items()}
    for name, found in matches.items():
        if not found:
            one, other = min(sets[name]), min(references)
            raise UsageError(f"{name}: no track in common: {one!r} there, {other!r} in the reference")
    for reference, track in references.items():
        estimates = {
            name: sets[name].get(found.get(reference, ""), MISSING) for name, found in matches.items()
        }
        if baseline:
            estimates[BASELINE] = _mixture_as_stems(track)
        pairs.append(Pair(reference, track, estimates))
    return pairs, {name: len(found) for name, found in matches.items()}


def _mixture_as_stems(track: TrackStems) -> TrackStems:
    if MIXTURE not in track.files:
        return TrackStems({}, error=f"has no {MIXTURE}")
    return TrackStems(dict.fromkeys(stems_of([track]), track.files[MIXTURE]))


def stems_of(tracks: Iterable[TrackStems]) -> tuple[str, ...]:
    """The stems that some of the tracks have."""
    return tuple(sorted({name for track in tracks for name in track.files} - {MIXTURE}, key=stem_order))


def choose_stems(pairs: Sequence[Pair], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The stems to score: those `wanted`, else those of the references.

    Which stems are scored together decides which seconds count, and what is `other` beside a guitar is not
    the `other` without one. So sides with different stems are compared only if `wanted` says in which.
    Raises `UsageError` where a side lacks a stem altogether, or has others if none is `wanted`. Estimates
    without any stem are left to the scores of their tracks, which say why.
    """
    true = stems_of(pair.reference for pair in pairs)
    if not true:
        raise UsageError("the reference has no stems: expected a file per stem in a track's folder")
    sides = {
        name: stems_of(pair.estimates[name] for pair in pairs)
        for name in pairs[0].estimates
        if name != BASELINE
    }
    sides = {"the reference": true, **{name: stems for name, stems in sides.items() if stems}}
    for side, stems in sides.items():
        if lacking := [stem for stem in wanted if stem not in stems]:
            raise UsageError(f"--stems: {side} has no {', '.join(lacking)}; it has {', '.join(stems)}")
    differences = [text for side, stems in sides.items() if (text := _difference(side, stems, true))]
    if differences and not wanted:
        common = [stem for stem in true if all(stem in stems for stems in sides.values())]
        advice = (
            f"--stems {','.join(common)} scores those in common" if common else "they have none in common"
        )
        raise UsageError(f"reference and estimates have different stems: {'; '.join(differences)}; {advice}")
    return tuple(wanted) or true


def _difference(side: str, stems: Sequence[str], true: Sequence[str]) -> str:
    lacking = ", ".join(stem for stem in true if stem not in stems)
    extra = ", ".join(stem for stem in stems if stem not in true)
    parts = (
        f"lacks {lacking}" if lacking else "",
        f"has {extra}, which the reference has not" if extra else "",
    )
    return f"{side} {' and '.join(part for part in parts if part)}" if lacking or extra else ""


def match(references: Iterable[str], estimates: Iterable[str]) -> dict[str, str]:
    """Name of a reference -> its name among the estimates, where it has one."""
    by_last = defaultdict(list)
    for name in estimates:
        by_last[name.rpartition("/")[2]].append(name)
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for reference in references:
        same = [name for name in by_last[reference.rpartition("/")[2]] if _same(reference, name)]
        if len(same) > 1:
            raise UsageError(f"{reference!r} could be {same[0]!r} or {same[1]!r} of the estimates")
        if same:
            found[reference] = same[0]
            if (other := taken.setdefault(same[0], reference)) != reference:
                raise UsageError(f"{same[0]!r} of the estimates could be {other!r} or {reference!r}")
    return found


def _same(one: str, other: str) -> bool:
    return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")
