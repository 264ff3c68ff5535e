import io

from jobs.evaluate.score_table import Medians, as_table
from separation.console import LineConsole


def test_a_name_in_the_table_is_one_harmless_line() -> None:
    out = io.StringIO()
    medians = Medians("https://me:hush@host/a\x1b[31m\nred", {"bass": 1.0}, 3)
    LineConsole(file=out, width=100).print(as_table("sdr", [medians], 3))
    assert "https://host/a\\x1b[31m\\nred" in out.getvalue()
    assert "\x1b" not in out.getvalue()
