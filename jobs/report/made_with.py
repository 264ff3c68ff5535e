"""What made an output's stems: its models, and what is said about their use."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from jobs.pipeline.output import run_record
from jobs.pipeline.output.run_record import RunRecord
from separation.models.bag import Licence
from separation.store.objects import Store

RUN_ID = re.compile(r"\w[\w.-]*")  # that can be a file's name; those of the tables are untrusted
READ_AT_ONCE = 16  # records; an object store answers slowly, but many at once


def licences_of(
    output: str, record: RunRecord | None, run_ids: Iterable[str], store: Store
) -> dict[Licence, tuple[str, ...]]:
    """Each licence and the graphs of which it is said, from the records of the runs `run_ids`.

    These are the runs that have tracks in the tables. Where none of them has a record, `record` speaks, which
    is run.json.
    """
    earlier = [each for each in run_ids if RUN_ID.fullmatch(each) and not (record and each == record.run_id)]
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        found = pool.map(lambda run_id: run_record.read(output, store, run_id), earlier)
        records = [each for each in found if each]
    if record and (record.run_id in run_ids or not records):
        records.append(record)
    graphs: dict[Licence, dict[str, None]] = {}
    for each in records:
        for graph, licence in each.licences.items():
            graphs.setdefault(licence, {})[graph] = None
    return {licence: tuple(names) for licence, names in graphs.items()}
