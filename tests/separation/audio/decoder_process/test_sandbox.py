"""What code that has taken over a decoder process can do: nothing with files, network and other processes."""

import ctypes
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from separation.audio.decoder_process import process, sandbox
from separation.audio.decoder_process.decoding import open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import DEFAULTS
from separation.errors import TrackError
from tests.sounds import RATE, encoded, noise

# What this kernel has: Landlock answers with its version, and seccomp says what its filters may do.
KERNEL_HAS = {
    "_landlock": sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, 0, 1) > 0,
    "_seccomp": Path("/proc/sys/kernel/seccomp/actions_avail").exists(),
}
OFFERED = [part for part, there in KERNEL_HAS.items() if there]

# Enters the parts of the sandbox that are named, then tries each line; prints what each raised, or "done".
ATTACK = """
import ctypes, json, mmap, os, resource, socket, subprocess, sys, threading, time
from separation.audio.decoder_process import sandbox
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(*map(ctypes.c_long, (number, *arguments))) < 0:
        raise OSError(ctypes.get_errno(), "")
here, machine = os.getcwd(), os.uname().machine
server, remote = socket.create_server(("127.0.0.1", 0)), socket.socket()
address = server.getsockname()
started = threading.Event()
PARTS, TRIES, other = json.loads(sys.argv[1])
libc.prctl(38, 1, 0, 0, 0)
lacking = [part for part in PARTS if not getattr(sandbox, part)(libc)]
said = {}
for line in TRIES:
    try:
        exec(line)
        said[line] = "done"
    except (OSError, RuntimeError) as error:
        said[line] = type(error).__name__
print(json.dumps([lacking, said]))
"""
FILES = [
    "open('/etc/passwd')",
    "open(f'{here}/new', 'w')",
    "os.listdir('/')",
    "os.mkdir(f'{here}/folder')",
    "os.unlink(f'{here}/victim')",
    "open(f'/proc/{other}/environ')",
    "open(f'/proc/{other}/mem', 'rb')",
]
PTRACE = "call({'x86_64': 101, 'aarch64': 117}[machine], 0x4206, other, 0, 0)"  # to attach, without a stop
NEW_IN_LANDLOCK = ["remote.connect(address)", "os.kill(other, 0)"]
BY_SECCOMP = [
    "socket.socket()",
    "socket.socketpair()",
    "os.execv(sys.executable, [sys.executable, '--version'])",
    "os.fork()",
    "subprocess.Popen(['true'])",
    "os.memfd_create('x')",
    "os.pipe()",
    "os.chmod(f'{here}/victim', 0)",
    "os.symlink('x', f'{here}/link')",
    "os.rename(f'{here}/victim', f'{here}/other')",
    "os.sched_setaffinity(0, {0})",
    "resource.prlimit(other, resource.RLIMIT_NOFILE, (9, 9))",
    "call(425, 1, 0)",  # io_uring_setup
]
REFUSED = {
    "_landlock": [*FILES, PTRACE],
    "_seccomp": [*FILES, PTRACE, *NEW_IN_LANDLOCK, *BY_SECCOMP],
}
ALLOWED = [
    "bytearray(50_000_000)",
    "mmap.mmap(-1, 4096)",
    "time.sleep(0.001)",
    "os.fstat(0)",
    "threading.Thread(target=started.set).start(); assert started.wait(10)",
    "resource.setrlimit(resource.RLIMIT_CPU, (60, -1))",
    "os.urandom(8)",
]


def attack(parts: list[str], tries: list[str], folder: Path) -> dict[str, str]:
    """What each line did in a process with these parts of the sandbox."""
    (folder / "victim").write_text("x")
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        ["sleep", "120"]
    ) as other:  # whom the lines attack: a test that is red harms nobody
        words = [sys.executable, "-c", ATTACK, json.dumps([parts, tries, other.pid])]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
        other.kill()
    assert done.returncode == 0, done.stderr
    lacking, said = json.loads(done.stdout)
    assert lacking == [part for part in parts if part not in OFFERED]
    assert sorted(path.name for path in folder.iterdir()) == ["victim"]
    return dict(said)


@pytest.mark.parametrize(
    "parts", [["_landlock"], ["_seccomp"], ["_landlock", "_seccomp"]], ids=["Landlock", "seccomp", "both"]
)
def test_nothing_is_reached(parts: list[str], tmp_path: Path) -> None:
    """By a part that the kernel offers; `attack` sees to it that another says so."""
    tries = list(dict.fromkeys(line for part in parts if part in OFFERED for line in REFUSED[part]))
    said = attack(parts, tries, tmp_path)
    assert list(said) == tries
    assert {line for line, outcome in said.items() if outcome == "done"} == set()


def test_the_tries_work_without_the_sandbox(tmp_path: Path) -> None:
    harmless = [FILES[0], FILES[2], FILES[5], *NEW_IN_LANDLOCK, *BY_SECCOMP[:2], "os.pipe()", *ALLOWED]
    assert set(attack([], harmless, tmp_path).values()) == {"done"}


def test_what_decoding_takes_is_left(tmp_path: Path) -> None:
    assert set(attack(["_landlock", "_seccomp"], ALLOWED, tmp_path).values()) == {"done"}


def test_landlock_is_asked_for_all_that_its_version_knows() -> None:
    known = {version: sandbox.landlock_rights(version) for version in (1, 2, 3, 4, 5, 6, 9)}
    assert known == {
        1: [0x1FFF],
        2: [0x3FFF],
        3: [0x7FFF],
        4: [0x7FFF, 3],
        5: [0xFFFF, 3],
        6: [0xFFFF, 3, 3],
        9: [0xFFFF, 3, 3],
    }


@pytest.mark.parametrize("machine", sandbox.PROCESSORS)
def test_a_filter_tests_each_call_once_and_fails_the_rest(machine: str) -> None:
    """On the other kind of processor than this one, too, as far as it can be known without running it."""
    program = sandbox.seccomp_filter(sandbox.PROCESSORS[machine], pid=7)
    assert len(program) % 8 == 0 and len(program) // 8 < 4096
    calls = (*sandbox.CALLS.values(), sandbox.CLONE, sandbox.PRLIMIT, sandbox.TGKILL)
    numbers = [each[sandbox.PROCESSORS[machine].column] for each in calls]
    assert len(numbers) - len(set(numbers)) == (1 if machine == "aarch64" else 0)  # poll is ppoll there


def test_on_other_systems_all_of_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert sandbox.enter() == ["Landlock", "seccomp"]


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    path.write_bytes(encoded(noise(RATE, 1_000), RATE))
    return path


def program(tmp_path: Path, code: str) -> tuple[str, ...]:
    """The command of a decoder process that runs `code` first."""
    path = tmp_path / "child.py"
    server = "import separation.audio.decoder_process.server as server"
    path.write_text(f"import sys; sys.path = {sys.path!r}\n{server}\n{code}\nserver.main()\n")
    return (sys.executable, "-P", str(path))


def test_a_decoder_is_in_it(song: Path, tmp_path: Path) -> None:
    code = "import socket; server.Server._open = lambda *_: socket.socket()"
    with (
        DecoderPool(program(tmp_path, code)) as pool,
        song.open("rb") as file,
        pytest.raises(TrackError, match=r"its decoder stopped: OSError: \[Errno 38\]"),
        open_decoding(file, "x", pool, DEFAULTS, RATE),
    ):
        pass


def test_what_the_kernel_lacks_is_said_once(
    song: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process.warn_once.cache_clear()
    for _ in range(2):
        with (
            DecoderPool(program(tmp_path, "server.sandbox.enter = lambda: ['Landlock']")) as pool,
            song.open("rb") as file,
            open_decoding(file, "x", pool, DEFAULTS, RATE) as decoding,
        ):
            assert sum(block.shape[1] for block in decoding.blocks()) == 1_000
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith("decoders run without Landlock, which this kernel does not offer")
    process.warn_once.cache_clear()


DECODE = """
import sys
from pathlib import Path
from separation.audio.decoder_process.decoding import open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import DEFAULTS
with DecoderPool() as pool, open(sys.argv[1], "rb") as file, open_decoding(
    file, "x", pool, DEFAULTS, 44_100
) as decoding:
    assert sum(block.shape[1] for block in decoding.blocks()) == 1_000
"""


def test_a_decoder_as_the_kernel_shows_it(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment, nothing open but the file, its socket and its words, and it is closed for good."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    before = set(psutil.Process().children())
    with DecoderPool() as pool, song.open("rb") as file, open_decoding(file, "x", pool, DEFAULTS, RATE):
        (child,) = set(psutil.Process().children()) - before
        assert set(child.environ()) <= set(process.KEPT)
        proc = Path(f"/proc/{child.pid}")
        links = sorted(os.readlink(path) for path in (proc / "fd").iterdir())
        status = dict(line.split(":\t") for line in (proc / "status").read_text().splitlines())
    (words,) = [link for link in links if link.endswith(" (deleted)")]  # what it writes to stderr
    (socket,) = {link for link in links if link.startswith("socket:")}
    assert set(links) == {os.devnull, str(song), words, socket}
    assert status["NoNewPrivs"] == "1"
    assert status.get("Seccomp", "0") == ("2" if "_seccomp" in OFFERED else "0")


@pytest.mark.strace
def test_a_decoder_seen_from_outside(song: Path, tmp_path: Path) -> None:
    """No environment, and once it is closed no file, no socket but its own."""
    logs, strace = tmp_path / "logs", shutil.which("strace")
    logs.mkdir()
    words = [sys.executable, "-c", DECODE, str(song)]
    trace = [str(strace), "-ff", "-o", str(logs / "of"), "-e", "trace=%file,%network,seccomp"]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "AWS_SECRET_ACCESS_KEY": "canary"}
    subprocess.run([*trace, *words], env=environment, check=True, timeout=120)
    (lines,) = [log for path in logs.iterdir() if "/* 0 vars */" in (log := path.read_text())]
    loading, closed, decoding = lines.partition("seccomp(")
    assert bool(closed) == ("_seccomp" in OFFERED)
    assert "openat(" in loading
    calls = set(re.findall(r"^\w+(?=\()", decoding, re.MULTILINE))
    assert {"recvmsg", "sendto"} <= calls <= {"recvmsg", "sendto", "newfstatat"}
