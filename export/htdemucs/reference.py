"""python -m export.htdemucs.reference SPEC.json: demucs itself over a list of tracks, timed.

`jobs.benchmark --compare demucs` starts it as a process of its own, so that no job loads torch. SPEC has
`tracks` (pairs of track id and path), `origin` (the words that name the checkpoints), `trust`, `stems`,
`overlap`, `threads`, `device` and `out`. Stems go to `out` as float32 WAV; one JSON line says what it took.

The time is that of what the job does too: decode, separate, encode, write. Loading is apart.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.apply import apply_model

from export.htdemucs.origin import from_origin
from export.htdemucs.specialist_model import SpecialistModel
from separation.audio import limits
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.mixes import read_mix
from separation.audio.stem_files import write_stems
from separation.contract import SAMPLE_RATE
from separation.options import Options

OPTIONS = Options(bits="float", clip_mode="none")


def separate(
    mix: np.ndarray, specialists: list[SpecialistModel], overlap: float, device: str
) -> dict[str, np.ndarray]:
    """float32 (2, samples) -> a stem each, as demucs/api.py does around `apply_model`.

    For a bag, `apply_model` calls itself on one model after the other and keeps the rows of its weights:
    one row of each specialist.
    """
    wav = torch.from_numpy(mix)
    ref = wav.mean(0)
    mean, std = ref.mean(), ref.std() + 1e-8
    flat = ((wav - mean) / std)[None]
    stems = {}
    for specialist in specialists:
        rows = apply_model(specialist.model, flat, shifts=0, overlap=overlap, device=device)[0]
        stems[specialist.stem] = (rows[specialist.row].cpu() * std + mean).numpy()
    return stems


def run(spec: dict[str, Any]) -> dict[str, float]:
    torch.set_num_threads(spec["threads"])
    clock = time.perf_counter()
    request = from_origin(spec["origin"], spec["trust"])
    specialists = [each for each in request.specialists() if each.stem in spec["stems"]]
    load_s, clock, audio_s = time.perf_counter() - clock, time.perf_counter(), 0.0
    pool = DecoderPool()
    for track_id, uri in spec["tracks"]:
        mix, _ = read_mix(uri, limits.DEFAULTS, pool)
        audio_s += mix.shape[1] / SAMPLE_RATE
        stems = separate(mix, specialists, spec["overlap"], spec["device"])
        blocks = {stem: [samples] for stem, samples in stems.items()}
        write_stems(blocks, track_id, mix.shape[1], OPTIONS, spec["out"])
    return {"load_s": load_s, "work_s": time.perf_counter() - clock, "audio_s": audio_s}


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
