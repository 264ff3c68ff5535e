"""A store that misbehaves: a proxy in front of a real S3 server, with faults as told and at random."""

import asyncio
import os
import random
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

ROOT = Path(__file__).parents[1]
NOT_PASSED_ON = {"connection", "transfer-encoding", "expect", "keep-alive"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Exchange:
    """A request to the proxy: a fault decides whether the real server sees it, and what the client gets."""

    def __init__(self, session: aiohttp.ClientSession, upstream: str, request: web.BaseRequest, body: bytes):
        self._session, self._upstream, self._request = session, upstream, request
        self.path, self.body = request.raw_path, body

    async def ask(self) -> Answer:
        """The real server's answer to the request."""
        kept = {n: v for n, v in self._request.headers.items() if n.lower() not in NOT_PASSED_ON}
        target = URL(self._upstream + self._request.raw_path, encoded=True)
        method = self._request.method
        async with self._session.request(method, target, headers=kept, data=self.body) as reply:
            headers = {n: v for n, v in reply.headers.items() if n.lower() not in NOT_PASSED_ON}
            return Answer(reply.status, headers, await reply.read())

    async def send(self, answer: Answer, stop: int | None = None) -> web.StreamResponse:
        """Sends the answer, or its head and the body's first `stop` bytes."""
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(self._request)
        if answer.body[:stop]:
            await response.write(answer.body[:stop])
        if stop is None:
            await response.write_eof()
        return response

    def reset(self) -> web.StreamResponse:
        """Breaks the connection, as when a machine of the store dies."""
        transport = self._request.transport
        if transport is not None:
            abrupt = struct.pack("ii", 1, 0)  # RST, not FIN
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abrupt)
            transport.abort()
        return web.Response()


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]


async def honest(exchange: Exchange) -> web.StreamResponse:
    """No fault."""
    return await exchange.send(await exchange.ask())


def refused(status: int, code: str) -> Fault:
    """Answers with an error of S3; the real server never sees the request."""
    body = f"<Error><Code>{code}</Code><Message>told so</Message></Error>".encode()

    async def refused(exchange: Exchange) -> web.StreamResponse:
        headers = {"Content-Type": "application/xml", "Content-Length": str(len(body))}
        return await exchange.send(Answer(status, headers, body))

    return refused


slow_down = refused(503, "SlowDown")
internal_error = refused(500, "InternalError")
expired = refused(400, "ExpiredToken")


async def balancer_page(exchange: Exchange) -> web.StreamResponse:
    """An error from a load balancer: HTML, where S3 would send XML."""
    page = b"<html><body><h1>503 Service Unavailable</h1><br></body></html>"
    return await exchange.send(Answer(503, {"Content-Length": str(len(page))}, page))


async def reset(exchange: Exchange) -> web.StreamResponse:
    """The connection breaks before the real server sees the request."""
    return exchange.reset()


async def lost_reply(exchange: Exchange) -> web.StreamResponse:
    """The real server does what is asked, and the connection breaks before the client knows."""
    await exchange.ask()
    return exchange.reset()


async def cut(exchange: Exchange) -> web.StreamResponse:
    """The connection breaks in the middle of the body."""
    answer = await exchange.ask()
    await exchange.send(answer, len(answer.body) // 2)
    return exchange.reset()


async def shortened(exchange: Exchange) -> web.StreamResponse:
    """Half the body, with a Content-Length that says that it is all."""
    answer = await exchange.ask()
    answer.body = answer.body[: len(answer.body) // 2]
    answer.headers = without_checksums(answer.headers) | {"Content-Length": str(len(answer.body))}
    return await exchange.send(answer)


async def flipped(exchange: Exchange) -> web.StreamResponse:
    """One bit of the body is wrong."""
    answer = await exchange.ask()
    answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1]) if answer.body else b""
    return await exchange.send(answer)


async def flipped_unchecked(exchange: Exchange) -> web.StreamResponse:
    """One bit is wrong, and the store sends no checksums: only the ETag can tell."""
    answer = await exchange.ask()
    answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1]) if answer.body else b""
    answer.headers = without_checksums(answer.headers)
    return await exchange.send(answer)


async def stalled(exchange: Exchange) -> web.StreamResponse:
    """Half the body, and then nothing until the client gives up, which cancels this."""
    answer = await exchange.ask()
    await exchange.send(answer, len(answer.body) // 2)
    await asyncio.Event().wait()
    raise AssertionError


def without_checksums(headers: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if "checksum" not in name.lower()}
    return {name: value for name, value in kept.items() if name.lower() != "content-length"} | {
        "Content-Length": headers.get("Content-Length", headers.get("content-length", "0"))
    }


READS, WRITES = ("GET",), ("PUT", "POST", "DELETE")


@dataclass(frozen=True)
class Rate:
    """How often a fault meets a request of these methods."""

    fault: Fault
    rate: float
    methods: Sequence[str] = ("GET", "HEAD", *WRITES)


class Proxy:
    """Passes requests on to `upstream`, or lets them meet a fault.

    A request for an object takes the next one of `faults[method]`, or when there are none left,
    `always[method]`. Any other request, and those for which neither is set, meets what is drawn from
    `storm`. While `outage` is set, every connection breaks.
    """

    def __init__(self, upstream: str, seed: int = 0):
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.storm: Sequence[Rate] = ()
        self.outage = False
        self.page_keys: int | None = None  # of one page of a listing; S3 sends 1,000
        self.seen: list[str] = []  # all requests, as "GET /bucket/key"
        self.met: Counter[str] = Counter()  # how often each fault, by its name
        self._upstream, self._random = upstream, random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(listening),))
        self._thread.start()
        listening.wait()

    async def _serve(self, listening: threading.Event) -> None:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as session:
            self._session = session
            server = web.Server(self._handle, handler_cancellation=True)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
            listening.set()
            await self._stop.wait()
            await runner.cleanup()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if "Expect" in request.headers and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await request.content.read()
        path = request.raw_path
        self.seen.append(f"{request.method} {path}")
        if self.page_keys and "list-type" in path:
            request = request.clone(rel_url=URL(f"{path}&max-keys={self.page_keys}", encoded=True))
        fault = self._fault(request.method, path)
        self.met[fault.__name__] += 1
        return await fault(Exchange(self._session, self._upstream, request, body))

    def _fault(self, method: str, path: str) -> Fault:
        if self.outage:
            return reset
        of_an_object = path.count("/") > 1 and "list-type" not in path
        if of_an_object and self.faults.get(method):
            return self.faults[method].pop(0)
        if of_an_object and method in self.always:
            return self.always[method]
        drawn = self._random.random()
        for rate in self.storm:
            if method in rate.methods:
                drawn -= rate.rate
                if drawn < 0:
                    return rate.fault
        return honest

    def run(self, program: str, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
        """Starts a Python process that reaches the store through this proxy only."""
        command = [sys.executable, "-c", program, *map(str, arguments)]
        known = os.environ | {"AWS_ENDPOINT_URL": self.endpoint} | environment
        return subprocess.Popen(command, cwd=ROOT, env=known, text=True, stdout=subprocess.PIPE)


@contextmanager
def faulty_store(upstream: str, seed: int = 0) -> Iterator[Proxy]:
    proxy = Proxy(upstream, seed)
    try:
        yield proxy
    finally:
        proxy.close()
