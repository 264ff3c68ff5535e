"""A store that misbehaves on request: a proxy before the real S3 server."""

import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Answer = tuple[int, dict[str, str], bytes]
# Asks the real store, or does not; returns what is sent instead, and how many bytes of it before the end.
Fault = Callable[[Callable[[], Answer]], tuple[Answer, int]]


class Proxy:
    """Passes requests on. `faults[method]` are applied, one a request, to requests for objects."""

    def __init__(self, upstream: str):
        self._upstream = upstream.removeprefix("http://")
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.page_keys: int | None = None  # of a listing; S3 sends 1,000
        self.seen: list[str] = []  # "GET /bucket/key"
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = self.command, self.path, dict(self.headers), self.rfile.read(length)
                fault = proxy._fault(self.command, self.path)
                (status, headers, body), sent = fault(lambda: proxy._ask(*request))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[:sent])
                self.close_connection = sent < len(body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def run(self, program: str, *arguments: object) -> "subprocess.Popen[str]":
        """A Python process that knows the store by this proxy only."""
        command = [sys.executable, "-c", program, *map(str, arguments)]
        environment = os.environ | {"AWS_ENDPOINT_URL": self.endpoint}
        return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if self.page_keys and "list-type" in path:
            path += f"&max-keys={self.page_keys}"
        connection = http.client.HTTPConnection(self._upstream)
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        data = reply.read()
        kept = {k: v for k, v in reply.getheaders() if k.lower() not in ("connection", "transfer-encoding")}
        connection.close()
        return reply.status, kept, data

    def _fault(self, method: str, path: str) -> Fault:
        if path.count("/") > 1 and "list-type" not in path:
            with self._lock:
                self.seen.append(f"{method} {path}")
                if self.faults.get(method):
                    return self.faults[method].pop(0)
                return self.always.get(method, honest)
        return honest


def honest(ask: Callable[[], Answer]) -> tuple[Answer, int]:
    answer = ask()
    return answer, len(answer[2])


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Proxy]:
    proxy = Proxy(s3_endpoint)
    yield proxy
    proxy.close()
