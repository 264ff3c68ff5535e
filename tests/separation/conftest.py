from collections.abc import Iterator

import pytest

from tests.faulty_store import Proxy, faulty_store


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Proxy]:
    with faulty_store(s3_endpoint) as proxy:
        yield proxy
