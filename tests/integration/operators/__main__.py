"""Prints the operators that Ray Data makes of a separation: names and most tasks at once, last one first."""

import json
from collections.abc import Sequence

from ray.data._internal.logical.optimizers import get_execution_plan

from jobs.pipeline import dataset, job_request, sizing
from jobs.pipeline.arrow import to_table
from jobs.pipeline.ledger import RemoteLedger
from jobs.pipeline.records import ListedTrack
from jobs.pipeline.stages.separation import separation_stages
from jobs.separate.__main__ import parser
from tests.stores import STORE


def main(arguments: Sequence[str]) -> int:
    """`arguments` are those of `jobs.separate`, for two nodes of two CPUs."""
    request = job_request.from_arguments(parser().parse_args(arguments), STORE)
    job = request.job([sizing.Node(2, 0, 2e9)] * 2)
    tracks = to_table([ListedTrack(f"{n}.wav", f"{n}.wav") for n in range(3)], ListedTrack)
    rows = dataset.sections(tracks, job, separation_stages(job), RemoteLedger(None))
    plan, _ = get_execution_plan(rows._logical_plan)
    operators, operator = [], plan.dag
    while operator.input_dependencies:
        operators.append((operator.name, operator.get_max_concurrency_limit()))
        operator = operator.input_dependencies[0]
    print(json.dumps(operators))
    return 0
