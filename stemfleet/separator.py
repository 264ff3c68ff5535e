"""`Separator`: a file or an array in, one array per stem out."""

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import DEFAULTS
from separation.audio.mixes import array_mix, read_mix
from separation.audio.stem_files import Blocks, finite_peak
from separation.contract import CHANNELS
from separation.errors import UsageError
from separation.local import LocalSeparator
from separation.options import Options
from separation.store.disk.private_folder import default_cache
from separation.store.objects import Store
from separation.store.redact import shown
from separation.store.retry import RetryPolicy

log = logging.getLogger("stemfleet")


class Separator:
    """Separates tracks on this machine, with models that stay loaded as long as the object lives.

    The options are those of `python -m separation`, and so are the samples: to the bit what
    `--float32 --clip-mode none` writes. There is nothing to close. One object may be used from several
    threads: tracks are read at the same time and separated one after the other.

    Args:
        models: A folder, an fsspec URI, or "demo".
        provider: What runs the models: auto, cpu, cuda, openvino or openvino-bf16.
        threads: CPU threads, shared by the models that run in parallel; all cores by default.
        overlap: Of neighbouring chunks, 0 to under 1; by default that of the models, 0.25 for htdemucs.
        shifts: Average over this many random shifts of up to half a second.
        seed: Of the random shifts.
        stems: Only these; all that the models have by default.
        two_stems: Only this stem and no_STEM, the mix minus it.
        skip_silence: Run no model on digital silence inside a track, which changes the samples around it.
        cache: Folder for downloaded and optimized models; by default one per user in the temporary folder.

    Raises:
        ModelError: Models that are missing or not what they say.
        UsageError: Options that contradict the models or each other.
        WrongProvider: The models would run elsewhere than asked for.
        DeviceError: A GPU that is there and does not work.
    """

    sample_rate: int
    """Hz, of the arrays that `separate` returns: the models'."""
    stems: tuple[str, ...]
    """The names of what `separate` returns."""

    def __init__(
        self,
        models: str | os.PathLike[str],
        *,
        provider: str = "auto",
        threads: int | None = None,
        overlap: float | None = None,
        shifts: int = 0,
        seed: int = 0,
        stems: Sequence[str] = (),
        two_stems: str | None = None,
        skip_silence: bool = False,
        cache: str | os.PathLike[str] | None = None,
    ):
        if isinstance(stems, str):
            raise UsageError(f"stems is {stems!r}; expected a list of names")
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}; expected 1 or more")
        options = Options(
            stems=tuple(stems),
            two_stems=two_stems,
            overlap=overlap,
            shifts=shifts,
            seed=seed,
            bits="float",
            skip_silence=skip_silence,
        )
        self._store = Store(RetryPolicy.from_environment())
        self._separator = LocalSeparator(
            models if isinstance(models, str) else Path(models),
            options,
            provider,
            threads or os.cpu_count() or 1,
            default_cache() if cache is None else Path(cache),
            self._store,
        )
        self._separator.load()
        self._one_at_a_time = threading.Lock()  # a session of OpenVINO has one set of buffers
        self._decoders = DecoderPool()
        self.stems = self._separator.stems
        self.sample_rate = self._separator.sample_rate

    def separate(
        self, track: str | os.PathLike[str] | npt.ArrayLike, sample_rate: float | None = None
    ) -> dict[str, np.ndarray]:
        """The stems of a track, never clipped. What is unusual about it (silence, a downmix) is a warning of
        the logger "stemfleet".

        Args:
            track: An audio file (a path or an fsspec URI), or an array of samples, (samples,) or
                (samples, channels) as soundfile.read gives it, floats or integers. Other rates than
                `self.sample_rate` are resampled, one channel becomes two, more than two are mixed to stereo.
            sample_rate: Hz of an array, 8,000 to 1,536,000.

        Returns:
            Name -> float32 (samples, channels) at `self.sample_rate`.

        Raises:
            TrackError: A file that cannot be separated, or of which the models make samples that are no
                numbers.
            UsageError: An array that is not audio.
        """
        if isinstance(track, str | os.PathLike):
            if sample_rate is not None:
                raise UsageError("sample_rate is for arrays; a file states its own")
            name = os.fspath(track)
            mix, notes = read_mix(name, DEFAULTS, self._decoders, self._store, sample_rate=self.sample_rate)
        else:
            if sample_rate is None:
                raise UsageError("an array needs its sample_rate: separate(array, 44100)")
            name = "array"
            mix, notes = array_mix(track, sample_rate, self.sample_rate)
        for note in notes:
            log.warning("%s: %s", shown(name), note)
        with self._one_at_a_time:
            stems = self._separator.separate(mix)
        arrays = {stem: as_array(blocks, mix.shape[1]) for stem, blocks in stems.items()}
        for stem, array in arrays.items():
            finite_peak([array.T], stem, name)
        return arrays


def as_array(blocks: Blocks, samples: int) -> np.ndarray:
    """Blocks (channels, n) as one C-contiguous float32 array (samples, channels)."""
    array = np.empty((samples, CHANNELS), np.float32)
    start = 0
    for block in blocks:
        array[start : start + block.shape[1]] = block.T
        start += block.shape[1]
    return array
