"""The engines would report to their makers, and write below the user's home, as soon as they are imported."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "module",
    ["separation.models.engines.onnx_runtime", "separation.models.engines.open_vino", "export.verify"],
)
def test_an_engine_leaves_nothing_in_the_users_home(module: str, tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", f"import {module}"], env=environment, check=True)
    assert not list(tmp_path.iterdir())


def test_a_user_who_wants_reports_keeps_them() -> None:
    wanted = {"ORT_DISABLE_TELEMETRY": "0", "RAY_USAGE_STATS_ENABLED": "1"}
    code = f"import separation, jobs, os; assert os.environ.items() >= {wanted!r}.items()"
    subprocess.run([sys.executable, "-c", code], env=wanted | {"PYTHONPATH": str(ROOT)}, check=True)
