"""A benchmark's summary as tables of text, for `jobs.benchmark` to print and `jobs.report` to show."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET

from jobs.pipeline.cost.summary import AllStemsComparison, Comparison, Figures, ModelsComparison, Summary
from separation.store.redact import shown


@dataclass(frozen=True, slots=True)
class TextTable:
    """All columns but the first are numbers if `numeric`; names are empty where a column needs none."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: bool = True


def summary_tables(summary: Summary) -> list[TextTable]:
    """The figures, both accounts of the time, then the comparisons and the sweep if there were any."""
    figures, cluster = summary.figures, summary.cluster
    machine = f"{cluster.nodes} nodes, {cluster.cpus:g} CPUs, {cluster.gpus:g} GPUs: "
    tables = [
        TextTable(machine + ", ".join(cluster.devices), ("", ""), list(_figures(summary).items()), False),
        _stages("where the driver's time went", figures, "phase"),
        _stages(f"where the cores' time went ({figures.accounted:.1%} accounted)", figures, "core"),
    ]
    if summary.compare is not UNSET:
        tables.append(_comparison(summary.compare, summary.stems))
    if summary.compare_models is not UNSET:
        tables.append(_models(summary, summary.compare_models))
    if summary.sweep is not UNSET:
        title = f"sweep; recommended: {summary.sweep.recommended or 'the plan as derived'}"
        speeds = [(name or "as derived", str(speed)) for name, speed in summary.sweep.x_realtime.items()]
        tables.append(TextTable(title, ("setting", "x realtime"), speeds))
    return tables


def _comparison(compare: Comparison, stems: Sequence[str]) -> TextTable:
    if isinstance(compare, AllStemsComparison):
        rows = {"seconds of work": str(compare.ratio), "own core-seconds": str(compare.core_ratio)}
        return TextTable(
            f"{', '.join(stems)} as a part of all stems' cost", ("", "ratio"), list(rows.items())
        )
    rows = {
        "job / demucs": str(compare.ratio),
        "demucs, x realtime": str(compare.x_realtime),
        **{f"{stem}: SNR between both, dB": f"{db:.1f}" for stem, db in compare.snr_db.items()},
    }
    return TextTable("beside demucs", ("", ""), list(rows.items()))


def _models(summary: Summary, other: ModelsComparison) -> TextTable:
    figures = summary.figures
    per_audio_s = "" if figures.core_s_per_audio_s is None else f"{figures.core_s_per_audio_s:.3f}"
    ran = [opening.graph for opening in summary.openings]
    folders = shown(summary.models), shown(other.models)
    names = shown(summary.models_name), shown(other.name)
    if names[0] == names[1]:  # as of one bag in two precisions
        names = folders
    rows = [
        ("folder", *folders),
        ("stems", ", ".join(summary.stems), ", ".join(other.stems)),
        ("graphs", ", ".join(ran), ", ".join(other.graphs)),
        ("x realtime", str(figures.x_realtime), str(other.x_realtime)),
        ("own core-seconds per second of audio", per_audio_s, str(other.core_s_per_audio_s)),
        ("seconds of work, ratio", str(other.ratio), ""),
        ("own core-seconds, ratio", str(other.core_ratio), ""),
    ]
    return TextTable(f"{names[0]} beside {names[1]}", ("", *names), rows)


def _figures(summary: Summary) -> dict[str, str]:
    figures = summary.figures
    source, stem, sent = (
        number / 1e6 for number in (figures.source_bytes, figures.stem_bytes, figures.net_sent_bytes)
    )
    busy = "" if figures.gpu_busy is None else f"; {figures.gpu_busy:.0%} busy as nvidia-smi says"
    rows = {
        "audio": f"{figures.audio_s:,.0f} s in {figures.tracks} tracks, {figures.failed} failed",
        "x realtime": f"{figures.x_realtime}, also the audio-hours per hour",
        "per node": f"x{figures.x_realtime_per_node:.3f}",
        f"per {figures.device}": f"x{figures.x_realtime_per_device:.3f}",
        f"{figures.device}s held by inferences": f"{figures.device_utilisation:.0%}{busy}",
    }
    if figures.core_s_per_audio_s is not None:
        rows["own core-seconds"] = (
            f"{figures.core_s_per_audio_s:.3f} per second of audio, independent of other programs"
        )
    rows |= {
        "CPUs busy": f"{figures.cpu_utilisation:.0%}",
        "memory": f"{figures.peak_bytes / 1e9:.1f} GB at most on a machine, "
        f"{figures.peak_bytes_above_start / 1e9:.1f} GB above its start",
        "bytes": f"{source:,.1f} MB of sources in, {stem:,.1f} MB of stems out; {sent:,.1f} MB sent over "
        "the machines' networks",
        "models": ", ".join(f"{each.graph} opened in {each.load_s:.2f} s" for each in summary.openings),
        "price": "unknown: --price or --instance gives it",
    }
    if figures.price:
        rows["price"] = f"{figures.price.usd_per_node_hour:.4f} USD per node-hour, {figures.price.basis}"
        rows["per audio-hour"] = f"{figures.usd_per_audio_hour:.4f} USD"
        rows["per 1,000 tracks"] = (
            f"{figures.usd_per_1000_tracks:.2f} USD at {figures.mean_track_s / 60:.1f} minutes each"
        )
    return rows


def _stages(title: str, figures: Figures, account: str) -> TextTable:
    rows = [
        (
            stage.stage,
            f"{stage.share or 0:.1%}",
            *("" if seconds is None else f"{seconds:,.2f}" for seconds in (stage.core_s, stage.task_s)),
        )
        for stage in figures.stages
        if stage.account == account
    ]
    return TextTable(title, ("stage", "share", "core s", "task s"), rows)
