"""A benchmark's summary as tables for a terminal or a log."""

from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table


def summary(summary: dict[str, Any], console: Console) -> None:
    figures, cluster = summary["figures"], summary["cluster"]
    devices = ", ".join(cluster["devices"])
    console.print(f"{cluster['nodes']} nodes, {cluster['cpus']:g} CPUs, {cluster['gpus']:g} GPUs: {devices}")
    for name, value in _figures(summary).items():
        console.print(f"  {name:<26}{value}")
    console.print(_stages("where the driver's time went", figures, "phase"))
    console.print(
        _stages(f"where the cores' time went ({figures['accounted']:.1%} accounted)", figures, "core")
    )
    if compare := summary.get("compare"):
        snr = ", ".join(f"{stem} {db:.1f}" for stem, db in compare["snr_db"].items())
        console.print(
            f"job / demucs: {_spread(compare['ratio'])} (demucs x{_spread(compare['x_realtime'])} realtime); "
            f"SNR dB between their stems: {snr}"
        )
    if found := summary.get("sweep"):
        table = Table("setting", "x realtime", box=SIMPLE, title="sweep", title_justify="left")
        for name, speed in found["x_realtime"].items():
            table.add_row(name or "as derived", _spread(speed))
        console.print(table)
        console.print(f"recommended: {found['recommended'] or 'the plan as derived'}")


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


def _stages(title: str, figures: dict[str, Any], account: str) -> Table:
    table = Table("stage", box=SIMPLE, title=title, title_justify="left")
    for name in ("share", "core s", "task s"):
        table.add_column(name, justify="right")
    for stage in figures["stages"]:
        if stage["account"] == account:
            seconds = ["" if s is None else f"{s:,.2f}" for s in (stage["core_s"], stage["task_s"])]
            table.add_row(stage["stage"], f"{stage['share']:.1%}", *seconds)
    return table


def _spread(values: dict[str, float]) -> str:
    middle = f"{values['median']:.3f}"
    return (
        middle if values["min"] == values["max"] else f"{middle} ({values['min']:.3f} to {values['max']:.3f})"
    )
