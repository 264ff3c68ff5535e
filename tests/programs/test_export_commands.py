import pytest

from export.__main__ import COMMANDS, with_command


@pytest.mark.parametrize("line", ["htdemucs_ft --out x", "--out x htdemucs_ft", "-v random --out x", "./bag"])
def test_a_bag_alone_is_short_for_the_command_bag(line: str) -> None:
    assert with_command(line.split()) == ["bag", *line.split()]


@pytest.mark.parametrize("line", [*COMMANDS, "-v verify x", "--help", "-h", "--version", "-q", ""])
def test_a_command_is_left_alone(line: str) -> None:
    assert with_command(line.split()) == line.split()
