import subprocess
import sys
import threading
from pathlib import Path

from jobs.pipeline.stages.slots import Gate

HOLD = """
import sys, time
from pathlib import Path
from jobs.pipeline.stages.slots import Gate
with Gate(Path(sys.argv[1]), 1).turn():
    print("held", flush=True)
    time.sleep(600)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_turn_is_waited_for_and_comes_back_from_the_dead(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    taken = threading.Event()

    def take() -> None:
        with Gate(tmp_path, 1).turn():
            taken.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not taken.wait(0.2)
    holder.kill()
    assert taken.wait(20)
    waiting.join()
    holder.wait()


def test_two_turns_let_two_in(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    with Gate(tmp_path, 2).turn() as waited:
        assert waited < 600
    holder.kill()
    holder.wait()


def test_no_turns_let_everyone_in(tmp_path: Path) -> None:
    gate = Gate(tmp_path, 0)
    with gate.turn(), gate.turn():
        pass


def test_one_gate_gives_its_turn_back(tmp_path: Path) -> None:
    gate = Gate(tmp_path, 1)
    for _ in range(3):
        with gate.turn():
            pass
