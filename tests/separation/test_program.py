"""The frame of all programs: what becomes of whatever a program raises, and the options that all have."""

import argparse
import logging
from collections.abc import Iterator

import pytest

from separation import arguments, program
from separation.errors import StorageError, UsageError
from separation.program import ExitCode


def parser(prog: str) -> program.Parser:
    parser = program.Parser(prog=prog)
    parser.add_argument("--number", type=int, required=True)
    return parser


def run(raised: BaseException | None = None, *options: str) -> int:
    def work(args: argparse.Namespace, quiet: bool) -> int:
        assert vars(args) == {"number": 1}  # what a program stores of its arguments
        assert quiet == ("-q" in options)
        if raised:
            raise raised
        return ExitCode.SOME_ERRORS

    return program.run(parser, work, ["--number", "1", *options], "prog")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.handlers[:] = []
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.mark.parametrize("options", [(), ("-q",), ("-v",), ("-vv",)])
def test_the_work_s_exit_code_is_the_program_s(options: tuple[str, ...]) -> None:
    assert run(None, *options) == 1


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (UsageError("two\nlines of\x1b[31m red"), "error: two\\nlines of\\x1b[31m red\n"),
        (StorageError("s3://key:hush@bucket/x", "no"), "error: s3://bucket/x: no\n"),
        (FileExistsError(17, "File exists", "x"), "error: x: File exists\n"),
        (OSError(28, "No space left on device"), "error: No space left on device\n"),
        (
            ModuleNotFoundError("No module named 'ray.data'", name="ray.data"),
            "error: ray is not installed: pip install 'stemfleet[cluster]'\n",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(
    raised: Exception, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raised) == 2
    assert capsys.readouterr() == ("", sentence)
    assert run(raised, "-v") == 2
    err = capsys.readouterr().err
    assert "test_program.py" in err and err.endswith(sentence)


@pytest.mark.parametrize(
    "raised", [ValueError("a bug\nof ours"), ModuleNotFoundError("x", name="x"), OSError("no number")]
)
def test_what_nobody_foresaw_is_a_traceback_and_no_exit_code_1(
    raised: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raised) == 2
    *frames, last = capsys.readouterr().err.splitlines()
    assert any("test_program.py" in line for line in frames)
    assert last.startswith(f"{type(raised).__name__}: ")


def test_a_failure_s_cause_comes_first_and_no_secret_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError("at https://me:hush@host/x?sig=hush")
    error.__cause__ = KeyError("first")
    assert run(error) == 2
    err = capsys.readouterr().err
    assert err.index("KeyError: 'first'") < err.index("RuntimeError: at https://host/x")
    assert "hush" not in err


def test_ctrl_c_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "stopped; run the same command again\n")


def test_the_parser_answers_itself(capsys: pytest.CaptureFixture[str]) -> None:
    def unreached(args: argparse.Namespace, quiet: bool) -> int:
        raise AssertionError

    lines = {"--help": 0, "--version": 0, "": 2, "--number x": 2, "--numbr 1": 2, "-q -v": 2}
    for line, code in lines.items():
        assert program.run(parser, unreached, line.split(), "prog") == code
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "error: the following arguments are required: --number (see prog --help)"
    assert errors[2] == "error: unrecognized arguments: --numbr (see prog --help)"
    assert len(errors) == 4


def test_verbose_logs_without_secrets_and_request_headers(capsys: pytest.CaptureFixture[str]) -> None:
    def work(args: argparse.Namespace, quiet: bool) -> int:
        logging.getLogger("separation.store").debug("GET https://me:hush@host/x?sig=hush\nagain")
        logging.getLogger("botocore.auth").debug("X-Amz-Security-Token: hush")
        return 0

    assert program.run(parser, work, ["--number", "1", "-vv"], "prog") == 0
    assert capsys.readouterr().err == "DEBUG separation.store: GET https://host/x\\nagain\n"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (arguments.positive_int, ["1", "7"], ["0", "-1", "1.5", "x", ""]),
        (arguments.non_negative_int, ["0", "7"], ["-1", "x"]),
        (arguments.positive_float, ["0.1", "1e3"], ["0", "-1", "nan", "inf", "x"]),
        (arguments.non_negative_float, ["0", "2.5"], ["-0.1", "nan", "x"]),
        (arguments.share, ["0", "0.5", "1"], ["1.1", "-0.1", "nan", "half"]),
        (arguments.uri, ["a b.wav", "s3://bucket/x?y", "x@y"], ["s3://k:s@b/x", "https://h/x?sig=1"]),
        (arguments.uri, ["a=b::c?d"], ["a=https://h/it's a?sig=1", "simplecache::HTTPS://h/a b?sig=1"]),
    ],
)
def test_types_take_what_they_say(kind: object, good: list[str], bad: list[str]) -> None:
    assert callable(kind)
    for text in good:
        kind(text)
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            kind(text)
        assert "sig=" not in str(caught.value) and "k:s" not in str(caught.value)


def test_without_verbose_a_warning_is_redacted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to the handler that Python has for programs without one."""
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler())
    assert run() == 1
    text = "at https://host/x?sig=hush \x1b[31m\nred"
    record = logging.LogRecord("asyncio", logging.WARNING, "", 0, text, None, None)
    assert logging.lastResort is not None
    assert logging.lastResort.format(record) == "at https://host/x \\x1b[31m\\nred"
