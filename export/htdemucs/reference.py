"""python -m export.htdemucs.reference SPEC.json: demucs itself over a list of tracks, timed.

`jobs.benchmark --compare demucs` starts it as a separate process, so that no job loads torch. The file holds
the fields of `Spec`. Stems are written to `out` as float32 WAV; one JSON line on stdout gives the times.

The work timed is the job's: decode, separate, encode, write. Loading the models is timed separately.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from demucs.apply import BagOfModels, apply_model

from export.htdemucs.bag_model import BagModel
from export.htdemucs.origin import from_origin
from separation.audio import limits
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.mixes import read_mix
from separation.audio.stem_files import write_stems
from separation.options import Options
from separation.store.objects import Store
from separation.store.retry import RetryPolicy

OPTIONS = Options(bits="float", clip_mode="none")


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """What to separate and how: `tracks` are pairs of track id and path or URI.

    `origin` names the checkpoints as `origin` in bag.json does, `trust` is --trust-checkpoint, `overlap` a
    fraction of a segment, `device` torch's name, and `out` the folder of the stems.
    """

    tracks: list[tuple[str, str]]
    origin: str
    trust: bool
    stems: list[str]
    overlap: float
    threads: int
    device: str
    out: str


def demucs_bag(models: list[BagModel], stems: list[str]) -> BagOfModels:
    """demucs's own bag of these models. Sources other than `stems` get weights of 1: their rows are not used,
    and the models that give them need not be among these."""
    sources = models[0].sources
    weights = [
        [each.weights.get(source, 0.0) if source in stems else 1.0 for source in sources] for each in models
    ]
    return BagOfModels([each.model for each in models], weights)


def separate(
    mix: np.ndarray, bag: BagOfModels, stems: list[str], overlap: float, device: str
) -> dict[str, np.ndarray]:
    """float32 (2, samples) -> by stem float32 (2, samples), as demucs/api.py does around `apply_model`."""
    wav = torch.from_numpy(mix)
    ref = wav.mean(0)
    mean, std = ref.mean(), ref.std() + 1e-8
    rows = apply_model(bag, ((wav - mean) / std)[None], shifts=0, overlap=overlap, device=device)[0]
    return {stem: (rows[bag.sources.index(stem)].cpu() * std + mean).numpy() for stem in stems}


def run(spec: ReferenceRun, store: Store) -> dict[str, float]:
    """Writes the stems; returns `load_s`, `work_s` and `audio_s`, the tracks' length, all in seconds."""
    torch.set_num_threads(spec.threads)
    clock = time.perf_counter()
    bag = demucs_bag(list(from_origin(spec.origin, spec.trust).models(spec.stems)), spec.stems)
    load_s, clock, audio_s = time.perf_counter() - clock, time.perf_counter(), 0.0
    pool = DecoderPool()
    for track_id, uri in spec.tracks:
        mix, _ = read_mix(uri, limits.DEFAULTS, pool, store, sample_rate=bag.samplerate)
        audio_s += mix.shape[1] / bag.samplerate
        stems = separate(mix, bag, spec.stems, spec.overlap, spec.device)
        blocks = {stem: [samples] for stem, samples in stems.items()}
        write_stems(blocks, track_id, mix.shape[1], OPTIONS, spec.out, store, sample_rate=bag.samplerate)
    return {"load_s": load_s, "work_s": time.perf_counter() - clock, "audio_s": audio_s}


if __name__ == "__main__":
    spec = ReferenceRun(**json.loads(Path(sys.argv[1]).read_text()))
    print(json.dumps(run(spec, Store(RetryPolicy.from_environment()))))
