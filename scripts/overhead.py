"""What Ray costs: audio-seconds per second of the job and of the bare core, on the same cores and files.

    python scripts/overhead.py --models DIR [--tracks 6] [--seconds 60] [-- OPTIONS OF jobs.separate]

Both sides run one after the other, `--rounds` times; the start-up of Ray and of the sessions is not counted
on either side. The stems of both sides are compared: they must be equal for the ratio to mean anything.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from band.catalogue import draw_specs, write_catalogue
from jobs.pipeline.output.tables import read_table
from separation.audio import limits
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.mixes import read_mix
from separation.audio.stem_files import write_stems
from separation.local import LocalSeparator
from separation.options import Options
from separation.store.objects import Store
from separation.store.retry import RetryPolicy


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", required=True)
    parser.add_argument("--tracks", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--stems", default="", metavar="A,B", help="only these, on both sides")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="of jobs.separate, e.g. --threads 1")
    args = parser.parse_args()
    store = Store(RetryPolicy.from_environment())
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        write_catalogue(folder / "in", 0, draw_specs(args.tracks, args.seconds, args.seconds, 0))
        bare, job = [], []
        for number in range(args.rounds):
            bare.append(run_bare(folder / "in", folder / f"bare-{number}", args.models, args.stems, store))
            options = ["--stems", args.stems, *args.options]
            job.append(run_job(folder / "in", folder / f"job-{number}", args.models, options, store))
            same = hashes(folder / f"bare-{number}") == hashes(folder / f"job-{number}/stems")
        table = Table("side", "audio s", "s", "audio s per s")
        for side, runs in (("bare core", bare), ("job", job)):
            audio, seconds = runs[0][0], statistics.median(run[1] for run in runs)
            table.add_row(side, f"{audio:.0f}", f"{seconds:.1f}", f"{audio / seconds:.3f}")
        ratio = statistics.median(b[1] / j[1] for b, j in zip(bare, job, strict=True))
        console = Console()
        console.print(table)
        console.print(f"job / bare core: {ratio:.3f}   stems {'identical' if same else 'DIFFER'}")
        return 0 if same else 1


def run_bare(tracks: Path, output: Path, models: str, stems: str, store: Store) -> tuple[float, float]:
    """Audio seconds, and seconds of the core in a loop as `python -m separation` runs it, without loading."""
    options = Options(stems=tuple(stems.split(",")) if stems else ())
    separator = LocalSeparator(models, options, "cpu", os.cpu_count() or 1, output / "cache", store)
    separator.load()
    rate, audio, pool, clock = separator.sample_rate, 0.0, DecoderPool(), time.perf_counter()
    for path in sorted(path for path in tracks.rglob("*") if path.is_file()):
        mix, _ = read_mix(str(path), limits.DEFAULTS, pool, store, rate)
        write_stems(
            separator.separate(mix),
            str(path.relative_to(tracks)),
            mix.shape[1],
            options,
            str(output),
            store,
            sample_rate=rate,
        )
        audio += mix.shape[1] / rate
    return audio, time.perf_counter() - clock


def run_job(tracks: Path, output: Path, models: str, options: list[str], store: Store) -> tuple[float, float]:
    """Audio seconds and seconds from the first probe to the last commit of `jobs.separate`."""
    command = [sys.executable, "-m", "jobs.separate", "--input", str(tracks), "--output", str(output)]
    command += ["--models", models, "--cache", str(output / "cache"), *options]
    # No probe before the pools are up: loading the sessions is start-up.
    waiting = {**os.environ, "RAY_DATA_DEFAULT_WAIT_FOR_MIN_ACTORS_S": "600"}
    subprocess.run(command, env=waiting, check=True)
    done = read_table(str(output), "tracks", store)
    seconds = (pc.max(done["finished_at"]).as_py() - pc.min(done["started_at"]).as_py()).total_seconds()
    return pc.sum(done["duration_s"]).as_py(), seconds


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.wav")
        if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())
