"""What a graph expects, and how its output becomes a track again."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from separation.errors import UsageError

Window = Literal["triangle", "fade"]
Edges = Literal["context", "reflect"]
LevelRule = Literal["track", "msst", "none"]
WINDOWS, EDGES, LEVEL_RULES = map(get_args, (Window, Edges, LevelRule))
CHANNELS = 2  # of every mix and stem: mono is doubled, more channels are mixed down


@dataclass(frozen=True, slots=True)
class Contract:
    """How a graph's segments are cut from a track's mix, and stitched again.

    sample_rate  Hz, of the mix and of the stems
    channels     of a segment
    segment      samples that the graph takes
    stride       samples from one chunk's start to the next, unless `--overlap` is given
    max_shift    samples: the longest shift of the shift trick; 0 for edges that `reflect`
    window       the weights of a chunk in the overlap-add: `triangle`, as in demucs; or `fade`, as in MSST:
                 linear fades over a tenth of the segment, none at the ends of the grid
    edges        what surrounds a short chunk: its `context` in the track, zeros beyond the track's ends; or
                 `reflect`, as in MSST: the grid begins and ends beyond the track, and sees it mirrored there
    level        `track`: the track's mean and deviation are taken off before and restored after, as in
                 demucs; `msst`: the same as MSST computes it; or `none`

    `grid`, `overlap_add` and `level` have the rules in full. MSST is the Music Source Separation Training
    repository (package `msst`), in whose formats most models of the field are published.
    """

    sample_rate: int
    channels: int
    segment: int
    stride: int
    max_shift: int
    window: Window = "triangle"
    edges: Edges = "context"
    level: LevelRule = "track"

    def stride_for(self, overlap: float | None) -> int:
        """Samples from one chunk's start to the next: the contract's own stride for None.

        An overlap in [0, 1) is rounded as demucs does. Raises `UsageError` for any other.
        """
        check_overlap(overlap)
        if overlap is None:
            return self.stride
        if (stride := int((1 - overlap) * self.segment)) < 1:
            raise UsageError(f"an overlap of {overlap} leaves no sample of a segment of {self.segment}")
        return stride


def check_overlap(overlap: float | None) -> None:
    """Raises `UsageError` unless `overlap` is None or in [0, 1)."""
    if overlap is not None and not 0 <= overlap < 1:
        raise UsageError(f"overlap must be at least 0 and under 1, not {overlap}")


def htdemucs_contract(segment_s: Fraction = Fraction(39, 5), sample_rate: int = 44_100) -> Contract:
    """Of an HTDemucs, rounded as in demucs/apply.py (4.1.0): an overlap of 0.25, shifts of half a second."""
    segment = int(segment_s * sample_rate)
    return Contract(sample_rate, CHANNELS, segment, int(0.75 * segment), int(0.5 * sample_rate))


def msst_contract(chunk_size: int, num_overlap: int, normalize: bool, sample_rate: int = 44_100) -> Contract:
    """Of a model that MSST's `demix` runs (msst/utils/model_utils.py, 0.1.0), from its configuration.

    `chunk_size` is in samples; `num_overlap` chunks cover a sample.
    """
    return Contract(
        sample_rate,
        CHANNELS,
        chunk_size,
        chunk_size // num_overlap,
        max_shift=0,
        window="fade",
        edges="reflect",
        level="msst" if normalize else "none",
    )


HTDEMUCS = htdemucs_contract()  # segment 343,980, stride 257,985, max_shift 22,050
