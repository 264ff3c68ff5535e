import subprocess
import sys
import threading
from pathlib import Path

from jobs.pipeline.stages.slots import Slots

HOLD = """
import sys, time
from pathlib import Path
from jobs.pipeline.stages.slots import Slots
with Slots(Path(sys.argv[1]), 1).take():
    print("held", flush=True)
    time.sleep(600)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_slot_is_waited_for_and_freed_by_a_death(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    taken = threading.Event()

    def take() -> None:
        with Slots(tmp_path, 1).take():
            taken.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not taken.wait(0.2)
    holder.kill()
    assert taken.wait(20)
    waiting.join()
    holder.wait()


def test_two_slots_let_two_in(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    with Slots(tmp_path, 2).take() as waited:
        assert waited < 600
    holder.kill()
    holder.wait()


def test_no_slots_let_everyone_in(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 0)
    with slots.take(), slots.take():
        pass


def test_a_slot_is_free_again_after_its_use(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 1)
    for _ in range(3):
        with slots.take():
            pass
