import io

from separation.console import LineConsole


def test_a_string_is_one_line_however_long_and_hostile() -> None:
    out = io.StringIO()
    LineConsole(file=out, width=20).print("[red]a\x1b[31m\n" + "long " * 20 + "https://me:hush@host/x")
    assert out.getvalue() == f"[red]a\\x1b[31m\\n{'long ' * 20}https://host/x\n"


def test_quiet_leaves_results() -> None:
    out = io.StringIO()
    console = LineConsole(file=out, quiet=True)
    console.print("progress")
    console.result("result")
    console.print("progress")
    assert out.getvalue() == "result\n"
