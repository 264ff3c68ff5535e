"""What made an output's stems: models, options and command of its runs, and the licences of the models."""

import argparse
import re
import shlex
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jobs.pipeline import job_request
from jobs.pipeline.output import run_record
from jobs.pipeline.output.run_record import RunRecord
from separation.models.bag import Licence
from separation.settings import DEFAULTS, SHA256, SHOWN_DIGITS
from separation.store.objects import Store

RUN_ID = re.compile(r"\w[\w.-]*")  # that can be a file's name; those of the tables are untrusted
OPTION = re.compile(r"[a-z]\w*")  # that can be one on a command line; so are the keys of run.json
READ_AT_ONCE = 16  # records; an object store answers slowly, but many at once


def records_of(
    output: str, record: RunRecord | None, run_ids: Iterable[str], store: Store
) -> dict[str, RunRecord]:
    """The records of these runs by run id, as far as there are any; `record` is run.json, the last one's."""
    earlier = [each for each in run_ids if RUN_ID.fullmatch(each) and not (record and each == record.run_id)]
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        read = pool.map(lambda run_id: run_record.read(output, store, run_id), earlier)
        found = {run_id: each for run_id, each in zip(earlier, read, strict=True) if each}
    return found | ({record.run_id: record} if record and record.run_id in run_ids else {})


def licences_of(records: Iterable[RunRecord]) -> dict[Licence, tuple[str, ...]]:
    """Each licence of the models of these runs, and the graphs of which it is said."""
    graphs: dict[Licence, dict[str, None]] = {}
    for record in records:
        for graph, licence in record.licences.items():
            graphs.setdefault(licence, {})[graph] = None
    return {licence: tuple(names) for licence, names in graphs.items()}


def describe(record: RunRecord | None) -> list[tuple[str, str]]:
    """Names and values of what a run was made with; what its record does not say is left out."""
    if record is None:
        return []
    settings = record.settings
    stems = (f"{stem} ({SHA256.sub(_short, made_of)})" for stem, made_of in settings.models.items())
    rows = {
        "models": str(record.arguments.get("models") or ""),
        "stems": ", ".join(stems),
        "precision": settings.precision or "",
        "engine": record.made_with.engine or "",
        "options": _unlike_defaults(settings.options) if settings.models else "",
        "command": command(record.arguments),
    }
    return [(name, value) for name, value in rows.items() if value]


def _short(sha256: re.Match[str]) -> str:
    return sha256[0][:SHOWN_DIGITS]


def _unlike_defaults(options: Mapping[str, Any]) -> str:
    unlike = [f"{name} {value}" for name, value in options.items() if value != DEFAULTS.get(name)]
    return ", ".join(unlike) or "all at their defaults"


def command(arguments: Mapping[str, Any]) -> str:
    """The command line of a job, without options at their defaults; empty if the record has none.

    It is quoted, so that a shell which is given it runs nothing else.
    """
    parser = argparse.ArgumentParser()
    job_request.add_arguments(parser)
    defaults = vars(parser.parse_args([]))
    words = []
    for name, value in arguments.items():
        if value is None or value is False or value == defaults.get(name) or not OPTION.fullmatch(name):
            continue
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    return shlex.join(["python", "-m", "jobs.separate", *words]) if "input" in arguments else ""
