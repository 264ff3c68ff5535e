"""Which modules of the tests run beside which, when several processes share them: `pytest -n 2`.

Most of the seconds go into jobs on Ray, which wait more than they compute; the rest computes. So one process
takes the modules of `WAITING` from the first on, and the other, beside it, all that compute, the longest
first. Whoever is through with its own takes from the other's.

A module stays whole, in one process: its fixtures are made once. Each process has an S3 server and, if it
comes to that, a Ray cluster of its own.
"""

import os

from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

# The longest first, so that short ones are left to fill the end.
WAITING = (
    "tests/integration/test_job.py",
    "tests/integration/test_small_jobs.py",
    "tests/integration/test_bags.py",
    "tests/integration/test_storm.py",
    "tests/integration/test_benchmark.py",
    "tests/integration/test_canary.py",
    "tests/integration/test_verify.py",
    "tests/integration/test_corpus.py",
    "tests/integration/test_crashes.py",
    "tests/cluster/test_several_nodes.py",
    "tests/integration/test_metrics.py",
    "tests/integration/test_keys.py",
    "tests/integration/test_local_cluster.py",
    "tests/integration/test_evaluate.py",
    "tests/integration/test_million.py",
)
COMPUTING = (
    "tests/export/htdemucs/test_bags.py",
    "tests/integration/test_parity.py",
    "tests/export/htdemucs/test_graph.py",
    "tests/export/scnet/test_model_folder.py",
    "tests/export/scnet/test_graph.py",
    "tests/export/roformer/test_model_folder.py",
    "tests/export/roformer/test_graph.py",
    "tests/export/test_training.py",
    "tests/export/test_main.py",
    "tests/export/htdemucs/test_checkpoints.py",
    "tests/export/bench/test_compare.py",
    "tests/export/test_band_bag.py",
    "tests/stemfleet/test_wheel.py",
    "tests/programs/test_wrong_invocations.py",
    "tests/programs/test_processes.py",
    "tests/separation/audio/decoder_process/test_decoding.py",
)


class BothEnds(LoadScopeScheduling):
    """The modules as one row, from which even processes take the first and odd ones the last."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        last = int(node.gateway.id.removeprefix("gw")) % 2
        chosen = (max if last else min)(self.workqueue, key=place)
        self.workqueue.move_to_end(chosen, last=False)
        super()._assign_work_unit(node)


def place(module: str) -> int:
    """Where a module stands in the row; those of neither list are in its middle."""
    if module in WAITING:
        return WAITING.index(module) - len(WAITING)
    return len(COMPUTING) - COMPUTING.index(module) if module in COMPUTING else 0


def share_cores(processes: int) -> None:
    """Each process that starts hereafter takes its share of the cores, or all would wait for all."""
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", threads)
