"""The stages of a separation: the list that `dataset` runs, and where each one's work stands."""

from jobs.pipeline.job import Job
from jobs.pipeline.sizing import PROBE_CPUS
from jobs.pipeline.stages.cut import cut_sections
from jobs.pipeline.stages.infer import load_infer
from jobs.pipeline.stages.probe import probe, tell_lengths
from jobs.pipeline.stages.split import split
from jobs.pipeline.stages.stage import FinishStage, PoolStage, Stages, TaskStage, infer_name
from jobs.pipeline.stages.stitch import finish, stitch


def separation_stages(job: Job) -> Stages:
    plan = job.plan
    infer = (
        PoolStage(
            name=infer_name(graph),
            verb=f"infer {graph} of",
            graph=graph,
            load=load_infer,
            cpus=plan.cpus_per_actor,
            gpus=plan.gpus_per_actor,
            rows_per_call=plan.rows_per_call,
            actors=plan.actors,
            max_actors=plan.max_actors,
        )
        for graph in job.graphs
    )
    return Stages(
        probe=TaskStage(
            name="probe", verb="probe", cpus=PROBE_CPUS, most=plan.probes, work=probe, tells=tell_lengths
        ),
        split=TaskStage(name="split", verb="", cpus=PROBE_CPUS, most=plan.probes, work=split),
        cut=TaskStage(name="cut", verb="cut", cpus=plan.task_cpus, work=cut_sections),
        infer=tuple(infer),
        stitch=TaskStage(name="stitch", verb="stitch", cpus=plan.task_cpus, work=stitch),
        finish=FinishStage(name="finish", verb="finish", cpus=plan.task_cpus, work=finish),
    )
