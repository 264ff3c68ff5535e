"""Ray runs what it is sent: wherever a cluster is described, it listens on loopback and asks for a token."""

import re

import pytest

from tests.cluster.conftest import CLUSTER, ROOT

FILES = [
    path
    for folder in (CLUSTER, ROOT / "scripts", ROOT / "docs", ROOT / "README.md")
    for path in ([folder] if folder.is_file() else sorted(folder.rglob("*")))
    if path.suffix in (".md", ".py", ".yaml", ".json")
]
STARTS_HEAD = re.compile(r"ray start --head|\bnode 127\.0\.0\.2 --head|\"start\", \"--head\"")


def test_heads_are_started_in_some_of_them() -> None:
    assert len([path for path in FILES if STARTS_HEAD.search(path.read_text())]) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_head_is_on_loopback_with_a_token(path) -> None:  # type: ignore[no-untyped-def]
    text = path.read_text()
    heads = len(STARTS_HEAD.findall(text))
    assert text.count("--dashboard-host=127.0.0.1") >= heads
    assert set(re.findall(r"--dashboard-host[= ]([\w.:]+)", text)) <= {"127.0.0.1"}
    assert not re.search(r"RAY_AUTH_MODE\W+disabled|dashboard.host\W+0\.0\.0\.0", text)
    if heads:
        assert re.search(r"RAY_AUTH_MODE\W+token", text)
    if "kind: Ray" in text:
        assert text.count("authOptions: {mode: token}") == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_key_is_given_to_ray(path) -> None:  # type: ignore[no-untyped-def]
    text = path.read_text()
    assert '"env_vars"' not in text
    assert not re.search(r"(SECRET_ACCESS_KEY|SESSION_TOKEN)\s*[:=]\s*[\w$]", text)
