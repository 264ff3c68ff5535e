"""A benchmark's summary as tables: for a terminal or a log here, and for `jobs.report`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Sheet:
    """Texts in rows; all columns but the first are numbers if `numeric`."""

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: bool = True


def summary(summary: dict[str, Any], console: Console) -> None:
    for sheet in sheets(summary):
        table = Table(
            *sheet.names[:1],
            box=SIMPLE,
            title=sheet.title,
            title_justify="left",
            show_header=any(sheet.names),
        )
        for name in sheet.names[1:]:
            table.add_column(name, justify="right" if sheet.numeric else "left")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)


def sheets(summary: dict[str, Any]) -> list[Sheet]:
    """The figures, where the time went in both accounts, and comparison and sweep if there were any."""
    figures, cluster = summary["figures"], summary["cluster"]
    machine = f"{cluster['nodes']} nodes, {cluster['cpus']:g} CPUs, {cluster['gpus']:g} GPUs: "
    found = [
        Sheet(machine + ", ".join(cluster["devices"]), ("", ""), list(_figures(summary).items()), False),
        _stages("where the driver's time went", figures, "phase"),
        _stages(f"where the cores' time went ({figures['accounted']:.1%} accounted)", figures, "core"),
    ]
    if compare := summary.get("compare"):
        found.append(_compared(compare, summary))
    if sweep := summary.get("sweep"):
        title = f"sweep; recommended: {sweep['recommended'] or 'the plan as derived'}"
        speeds = [(name or "as derived", _spread(speed)) for name, speed in sweep["x_realtime"].items()]
        found.append(Sheet(title, ("setting", "x realtime"), speeds))
    return found


def _compared(compare: dict[str, Any], summary: dict[str, Any]) -> Sheet:
    if compare["with"] == "all":
        stems = ", ".join(summary["stems"])
        rows = {
            "seconds of work": _spread(compare["ratio"]),
            "own core-seconds": _spread(compare["core_ratio"]),
        }
        return Sheet(f"{stems} as a part of all stems' cost", ("", "ratio"), list(rows.items()))
    rows = {
        "job / demucs": _spread(compare["ratio"]),
        "demucs, x realtime": _spread(compare["x_realtime"]),
        **{f"{stem}: SNR between both, dB": f"{db:.1f}" for stem, db in compare["snr_db"].items()},
    }
    return Sheet("beside demucs", ("", ""), list(rows.items()))


def _figures(summary: dict[str, Any]) -> dict[str, str]:
    figures = summary["figures"]
    source, stem, sent = (figures[f"{name}_bytes"] / 1e6 for name in ("source", "stem", "net_sent"))
    busy = "" if figures["gpu_busy"] is None else f"; {figures['gpu_busy']:.0%} busy as nvidia-smi says"
    rows = {
        "audio": f"{figures['audio_s']:,.0f} s in {figures['tracks']} tracks, {figures['failed']} failed",
        "x realtime": f"{_spread(figures['x_realtime'])}, the audio-hours an hour",
        "a node": f"x{figures['x_realtime_per_node']:.3f}",
        f"a {figures['device']}": f"x{figures['x_realtime_per_device']:.3f}",
        f"{figures['device']}s held by inferences": f"{figures['device_utilisation']:.0%}{busy}",
        "own core-seconds": f"{figures['core_s_per_audio_s']:.3f} a second of audio, whatever else runs",
        "CPUs busy": f"{figures['cpu_utilisation']:.0%}",
        "memory": f"{figures['peak_bytes'] / 1e9:.1f} GB at most on a machine, "
        f"{figures['peak_bytes_above_start'] / 1e9:.1f} GB above its start",
        "bytes": f"{source:,.1f} MB of sources in, {stem:,.1f} MB of stems out; {sent:,.1f} MB sent over "
        "the machines' networks",
        "models": ", ".join(
            f"{opening['stem']} opened in {opening['load_s']:.2f} s" for opening in summary["openings"]
        ),
        "price": "unknown: --price or --instance gives it",
    }
    if figures["price"]:
        rows["price"] = (
            f"{figures['price']['usd_per_node_hour']:.4f} USD a node-hour, {figures['price']['basis']}"
        )
        rows["an audio-hour"] = f"{figures['usd_per_audio_hour']:.4f} USD"
        rows["1,000 tracks"] = (
            f"{figures['usd_per_1000_tracks']:.2f} USD at {figures['mean_track_s'] / 60:.1f} minutes each"
        )
    return rows


def _stages(title: str, figures: dict[str, Any], account: str) -> Sheet:
    rows = [
        (
            stage["stage"],
            f"{stage['share']:.1%}",
            *("" if s is None else f"{s:,.2f}" for s in (stage["core_s"], stage["task_s"])),
        )
        for stage in figures["stages"]
        if stage["account"] == account
    ]
    return Sheet(title, ("stage", "share", "core s", "task s"), rows)


def _spread(values: dict[str, float]) -> str:
    middle = f"{values['median']:.3f}"
    return (
        middle if values["min"] == values["max"] else f"{middle} ({values['min']:.3f} to {values['max']:.3f})"
    )
