"""A benchmark's figures on a terminal or in a log."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from jobs.pipeline.cost.summary import Summary
from jobs.pipeline.cost.summary_tables import summary_tables


def print_summary(summary: Summary, console: Console) -> None:
    for each in summary_tables(summary):
        table = Table(
            *each.columns[:1],
            box=SIMPLE,
            title=each.title,
            title_justify="left",
            show_header=any(each.columns),
        )
        for name in each.columns[1:]:
            table.add_column(name, justify="right" if each.numeric else "left")
        for row in each.rows:
            table.add_row(*row)
        console.print(table)
