"""A whole track in memory: an audio file, or an array that holds one, as the mix that the models take.

Both go through the same `Reader` (downmix, resampling, checks), so an array read from a file gives the
file's mix to the bit.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from separation.audio.decoder_process.decoding import open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import MOST_CHANNELS, RATES, Limits
from separation.audio.reading import Reader
from separation.blocks import BLOCK
from separation.errors import TrackError, UsageError
from separation.level import measure, warnings
from separation.store.disk.full_disk import temporary_folder
from separation.store.objects import Store
from separation.store.source_cache import SourceCache

EXPECTED = f"(samples,) or (samples, channels) with 1 to {MOST_CHANNELS} channels, as soundfile.read gives it"


def read_mix(
    uri: str, limits: Limits, pool: DecoderPool, store: Store, sample_rate: int
) -> tuple[np.ndarray, list[str]]:
    """The track at `uri` as float32 (2, samples) at `sample_rate` Hz, and the warnings about it.

    Raises `TrackError` if the file is missing, unreadable or beyond the limits, and `SourceUnreachable` if
    its store does not answer.
    """
    with temporary_folder() as folder:
        sources = SourceCache(folder, max_bytes=0, store=store, limits=limits)
        found = sources.stat(uri)
        limits.check_size(uri, found.bytes)
        with (
            sources.open(uri, found.etag) as file,
            open_decoding(file, uri, pool, limits, sample_rate) as decoding,
        ):
            mix = join(decoding.blocks())
            return mix, [*decoding.warnings, *warnings(measure(mix))]


def array_mix(audio: npt.ArrayLike, rate: float, sample_rate: int) -> tuple[np.ndarray, list[str]]:
    """`audio` of `rate` Hz, (samples,) or (samples, channels) of floats or integers, as float32 (2, samples)
    at `sample_rate` Hz, and the warnings about it.

    Integers are scaled as soundfile scales them, see `to_float32`. More than two channels become two as
    those of a file that does not name its channels. Raises `UsageError` for anything else than audio.
    """
    decoder = ArrayDecoder(checked_array(audio), checked_rate(rate))
    reader = Reader(decoder, "array", Limits(hours=float("inf")), sample_rate)  # it is in memory already
    try:
        mix = join(reader.blocks())
    except TrackError as error:
        raise UsageError(f"the array holds {error.reason}") from None
    return mix, [*reader.warnings, *warnings(measure(mix))]


def join(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Blocks (channels, n) as one C-contiguous array (channels, samples)."""
    return np.concatenate([np.ascontiguousarray(block) for block in blocks], axis=1)


class ArrayDecoder:
    """An array (samples, channels) in place of a file: a `Decoder`."""

    codec = "array"
    channel_names: tuple[str, ...] = ()
    declared_is_exact = True

    def __init__(self, audio: np.ndarray, rate: int):
        self._audio = audio
        self.rate = rate
        self.declared_samples: int | None = audio.shape[0]
        self.channels: int = audio.shape[1]
        self.warnings: list[str] = []

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        audio = self._audio[start:stop]
        for begin in range(0, len(audio), BLOCK):
            yield np.ascontiguousarray(to_float32(audio[begin : begin + BLOCK]).T)


def to_float32(block: np.ndarray) -> np.ndarray:
    """Samples as soundfile reads them to float32, integers by their full scale.

    int16 / 2**15, int32 / 2**31, and so on; unsigned ones are centred first: (uint8 - 128) / 128.
    """
    if block.dtype.kind == "f":
        with np.errstate(over="ignore"):  # an immense float64 becomes infinite, which the reader refuses
            return block.astype(np.float32)
    half = 2.0 ** (8 * block.dtype.itemsize - 1)
    centred = block.astype(np.float64) - (half if block.dtype.kind == "u" else 0.0)
    scaled: np.ndarray = (centred / half).astype(np.float32)  # float64 holds int32: rounded once, here
    return scaled


def checked_array(audio: npt.ArrayLike) -> np.ndarray:
    """`audio` as an array (samples, channels) of floats or integers; not copied if it is one."""
    try:
        array = np.asarray(audio)
    except (TypeError, ValueError):
        raise UsageError(f"the audio is no array but {type(audio).__name__}; expected {EXPECTED}") from None
    found = f"the array is {array.dtype} of shape {array.shape}"
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{found}; expected floats or integers")
    if array.ndim not in (1, 2):
        raise UsageError(f"{found}; expected {EXPECTED}")
    if array.shape[0] == 0:
        raise UsageError(f"{found}: no samples; expected {EXPECTED}")
    if array.ndim == 1:
        return array[:, np.newaxis]
    samples, channels = array.shape
    if not 1 <= channels <= MOST_CHANNELS:
        fits = ": its transpose, array.T, does" if channels and samples <= MOST_CHANNELS else ""
        raise UsageError(f"{found}: {channels} channels; expected {EXPECTED}{fits}")
    return array


def checked_rate(sample_rate: object) -> int:
    """A sample rate in Hz as an integer; 22050.0 is one too."""
    if isinstance(sample_rate, int | float | np.integer | np.floating) and not isinstance(sample_rate, bool):
        number = float(sample_rate)
        if number.is_integer() and int(number) in RATES:
            return int(number)
    raise UsageError(
        f"sample_rate is {sample_rate!r}; expected a whole number of Hz from {RATES[0]} to {RATES[-1]}"
    )
