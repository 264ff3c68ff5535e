"""How far the pipeline scales, without the hardware: its own road, with stages that sleep.

    python scripts/simulate.py scale [--nodes 1,4,16,64] [--x-realtime 40]
    python scripts/simulate.py driver [--tracks 1000000]

`scale` runs `jobs.pipeline.dataset.sections` as a job does: the same operators, pools, tasks and rows,
on one Ray head that claims the CPUs of many nodes. An inference and every other stage sleep as long as
they were measured to take, and the audio is left out. So it tests what a larger cluster has one of:
the driver with Ray Data's scheduling. It does not test networks, stores or a node's own cores.
An actor of the simulation stands for up to `CALLS` of one specialist, as processes need memory.

`driver` feeds finished tracks through what the driver keeps of them: tables, progress, counts.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.data import DataContext
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from jobs.pipeline import dataset, schema, tables
from jobs.pipeline.job import Job
from jobs.pipeline.plan import Plan
from jobs.pipeline.progress import Progress
from jobs.pipeline.rows import Row
from jobs.pipeline.run import Finisher
from separation.bag import Bag, SpecialistFile
from separation.contract import SAMPLE_RATE, STEMS, STRIDE
from separation.options import Options

CALLS = 16  # of one actor process at once
# Seconds of one core for a second of audio, as benchmarks of this repository's job measured (docs/benchmarks.md).
MEASURED = {"probe": 0.0053, "decode": 0.0059, "stitch": 0.0010, "write": 0.0070}
