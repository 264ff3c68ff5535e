"""The job before a store that misbehaves: what it must hold, small here, long behind `make chaos`."""

import hashlib
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jobs.pipeline.output.tables import read_table
from separation.contract import HTDEMUCS
from separation.store.retry import PATIENCE_VARIABLE
from tests.bags import FOUR_STEMS, write_gain_bag
from tests.faulty_store import (
    READS,
    WRITES,
    Proxy,
    Rate,
    balancer_page,
    cut,
    expired,
    faulty_store,
    flipped_unchecked,
    internal_error,
    lost_reply,
    reset,
    shortened,
    slow_down,
)
from tests.integration.conftest import HANG_S, STORE_BYTES, job_command, start_cluster, wait_until
from tests.stores import STORE

PATIENCE_S = 6.0  # of the small tests
TRACKS = 12
pytestmark = pytest.mark.chaos
Job = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def proxy(s3_endpoint: str) -> Iterator[Proxy]:
    with faulty_store(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cluster(proxy: Proxy, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """A cluster that knows the store by the proxy only, and waits for it for some seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        patch.setenv(PATIENCE_VARIABLE, str(PATIENCE_S))
        with start_cluster(STORE_BYTES) as cluster:
            patch.undo()  # this process goes to the store itself: its connections outlive the proxy
            yield cluster.environment


@pytest.fixture
def job(cluster: dict[str, str], proxy: Proxy, bucket: str, tmp_path: Path) -> Iterator[Job]:
    """Starts `jobs.separate` from `bucket`/in to `bucket`/NAME; afterwards the sky is clear."""
    models = write_gain_bag(tmp_path / "models")
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: str) -> "subprocess.Popen[str]":
        where = ("--input", f"{bucket}/in/", "--output", f"{bucket}/{name}", "--models", str(models))
        command = job_command(tmp_path / name, *where, *arguments)
        started.append(
            subprocess.Popen(
                command, env=cluster, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
        return started[-1]

    with clear_sky(proxy):
        yield start
    for process in started:
        process.kill()
        process.wait()


def put_tracks(bucket: str, folder: Path, count: int = TRACKS, seconds: float = 2.0) -> None:
    for number in range(count):
        noise = 0.1 * np.random.default_rng(number).standard_normal((int(seconds * HTDEMUCS.sample_rate), 2))
        soundfile.write(folder / "track.wav", noise, HTDEMUCS.sample_rate)
        STORE.put_file(folder / "track.wav", f"{bucket}/in/{number:03}.wav")


def stems(output: str) -> dict[str, str]:
    """The sha256 of what is there, after a look that the tables say the same, each track once."""
    tracks, timings = read_table(output, "tracks", STORE), read_table(output, "timings", STORE)
    counts = Counter(tracks["track_id"].to_pylist())
    assert set(counts.values()) == {1}
    assert set(tracks["status"].to_pylist()) == {"ok"}, tracks.to_pylist()
    said = {row["uri"].removeprefix(output): row["sha256"] for row in timings.to_pylist()}
    assert timings.num_rows == len(said) == len(counts) * len(FOUR_STEMS)
    found = {
        file.uri.removeprefix(output): hashlib.sha256(STORE.read_bytes(file.uri)).hexdigest()
        for file in STORE.list_files(f"{output}/stems")
    }
    assert found == said
    return found


def finished(process: "subprocess.Popen[str]", expected: int) -> str:
    output = process.communicate(timeout=HANG_S)[0]
    assert process.returncode == expected, output
    return output


def wait_for(proxy: Proxy, driver: "subprocess.Popen[Any]", request: str) -> None:
    """Until the driver's job has asked for something that begins so."""
    wait_until(
        lambda: any(seen.startswith(request) for seen in proxy.seen),
        lambda: f"no request for {request}",
        alive=driver,
    )


def committed(output: str) -> int:
    return read_table(output, "tracks", STORE, ["track_id"]).num_rows


STORM = (
    Rate(slow_down, 0.15),
    Rate(internal_error, 0.03),
    Rate(balancer_page, 0.02),
    Rate(reset, 0.05),
    Rate(cut, 0.05, READS),
    Rate(shortened, 0.05, READS),
    Rate(flipped_unchecked, 0.05, READS),
    Rate(lost_reply, 0.2, WRITES),
)


def test_a_storm_changes_nothing_and_an_outage_is_resumed(
    job: Job, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    put_tracks(bucket, tmp_path)
    finished(job("calm"), 0)
    undisturbed = stems(f"{bucket}/calm")
    assert len(undisturbed) == TRACKS * len(FOUR_STEMS)

    proxy.storm = STORM
    finished(job("storm"), 0)
    proxy.storm = ()
    assert stems(f"{bucket}/storm") == undisturbed
    assert {"refused", "reset", "lost_reply"} <= set(proxy.met)

    driver = job("outage")
    wait_for(proxy, driver, f"PUT /{bucket[5:]}/outage/stems/")
    proxy.outage = True
    assert "error: s3://" in finished(driver, 2)
    proxy.outage = False
    assert committed(f"{bucket}/outage") < TRACKS
    finished(job("outage"), 0)
    assert stems(f"{bucket}/outage") == undisturbed


def test_expired_credentials_stop_the_job(job: Job, proxy: Proxy, bucket: str, tmp_path: Path) -> None:
    put_tracks(bucket, tmp_path, 2)
    driver = job("expired")
    wait_for(proxy, driver, f"GET /{bucket[5:]}/in/")
    proxy.storm = (Rate(expired, 1.0),)
    assert "ExpiredToken" in finished(driver, 2)
    proxy.storm = ()
    assert committed(f"{bucket}/expired") == 0


def test_thirty_percent_slow_down_costs_at_most_twice_the_requests(
    job: Job, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    put_tracks(bucket, tmp_path, 60)
    before = len(proxy.seen)
    finished(job("calm"), 0)
    calm = len(proxy.seen) - before
    proxy.storm = (Rate(slow_down, 0.3),)
    before = len(proxy.seen)
    finished(job("storm"), 0)
    storm = len(proxy.seen) - before
    proxy.storm = ()
    print(f"{calm} requests undisturbed, {storm} with 30 % SlowDown: {storm / calm:.2f} times")
    assert stems(f"{bucket}/storm") == stems(f"{bucket}/calm")
    assert storm <= 2 * calm


def test_objects_of_a_hundred_megabytes_through_broken_reads(
    job: Job, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    put_tracks(bucket, tmp_path, 4, seconds=100e6 / 4 / HTDEMUCS.sample_rate)
    finished(job("calm", "--format", "flac"), 0)
    proxy.storm = (Rate(reset, 0.07, READS), Rate(cut, 0.07, READS), Rate(shortened, 0.06, READS))
    finished(job("storm", "--format", "flac"), 0)
    proxy.storm = ()
    print({name: count for name, count in proxy.met.items() if name != "honest"})
    assert stems(f"{bucket}/storm") == stems(f"{bucket}/calm")


@contextmanager
def clear_sky(proxy: Proxy) -> Iterator[None]:
    """Afterwards, whatever came."""
    try:
        yield
    finally:
        proxy.storm, proxy.outage = (), False


def outage_of(proxy: Proxy, seconds: float, driver: "subprocess.Popen[Any]") -> None:
    """Ends after `seconds`, or with the driver: the outage itself is what is tested, not how long."""
    proxy.outage = True
    threading.Timer(seconds, lambda: setattr(proxy, "outage", False)).start()

    def over() -> bool:
        return not proxy.outage or driver.poll() is not None

    wait_until(over, lambda: "the outage did not end", 2 * seconds)


@pytest.mark.parametrize(("seconds", "code"), [(60, 0), (600, 2)])
def test_outages_of_a_minute_and_of_ten(
    proxy: Proxy, bucket: str, tmp_path: Path, seconds: float, code: int
) -> None:
    """With the patience as it is: the first is waited for, the second is not, and is resumed."""
    put_tracks(bucket, tmp_path)
    models = write_gain_bag(tmp_path / "models")
    arguments = ("--input", f"{bucket}/in/", "--output", f"{bucket}/out", "--models", str(models))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        patch.delenv(PATIENCE_VARIABLE, raising=False)  # of the cluster beside this one
        with start_cluster(STORE_BYTES) as cluster, clear_sky(proxy):
            patch.undo()
            command = job_command(tmp_path, *arguments)
            log = (tmp_path / "log").open("w+")  # a pipe that nobody reads would fill in ten minutes
            driver = subprocess.Popen(command, env=cluster.environment, stdout=log, stderr=subprocess.STDOUT)
            wait_for(proxy, driver, f"PUT /{bucket[5:]}/out/stems/")
            outage_of(proxy, seconds, driver)
            proxy.outage = False
            assert driver.wait(HANG_S) == code, (tmp_path / "log").read_text()
            again = subprocess.run(command, env=cluster.environment, capture_output=True, text=True)
            assert again.returncode == 0, again.stdout
    assert len(stems(f"{bucket}/out")) == TRACKS * len(FOUR_STEMS)
