"""A store that misbehaves: a proxy before a real S3 server, with faults on order and at random."""

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
    """A request on its way: a fault asks the real store, or does not, and sends what it likes."""

    def __init__(self, session: aiohttp.ClientSession, upstream: str, request: web.BaseRequest, body: bytes):
        self._session, self._upstream, self._request, self._body = session, upstream, request, body

    async def ask(self) -> Answer:
        kept = {n: v for n, v in self._request.headers.items() if n.lower() not in NOT_PASSED_ON}
        target = URL(self._upstream + self._request.raw_path, encoded=True)
        method = self._request.method
        async with self._session.request(method, target, headers=kept, data=self._body) as reply:
            headers = {n: v for n, v in reply.headers.items() if n.lower() not in NOT_PASSED_ON}
            return Answer(reply.status, headers, await reply.read())

    async def send(self, answer: Answer, stop: int | None = None) -> web.StreamResponse:
        """The answer, or its head and the body's first `stop` bytes."""
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(self._request)
        if answer.body[:stop]:
            await response.write(answer.body[:stop])
        if stop is None:
            await response.write_eof()
        return response

    def reset(self) -> web.StreamResponse:
        """The connection breaks, as when a machine of the store dies."""
        transport = self._request.transport
        if transport is not None:
            abrupt = struct.pack("ii", 1, 0)  # RST, not FIN
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abrupt)
            transport.abort()
        return web.Response()


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]


async def honest(exchange: Exchange) -> web.StreamResponse:
    return await exchange.send(await exchange.ask())


def refused(status: int, code: str) -> Fault:
    body = f"<Error><Code>{code}</Code><Message>told so</Message></Error>".encode()

    async def refused(exchange: Exchange) -> web.StreamResponse:
        headers = {"Content-Type": "application/xml", "Content-Length": str(len(body))}
        return await exchange.send(Answer(status, headers, body))

    return refused


slow_down = refused(503, "SlowDown")
internal_error = refused(500, "InternalError")
expired = refused(400, "ExpiredToken")


async def balancer_page(exchange: Exchange) -> web.StreamResponse:
    page = b"<html><body><h1>503 Service Unavailable</h1><br></body></html>"
    return await exchange.send(Answer(503, {"Content-Length": str(len(page))}, page))


async def reset(exchange: Exchange) -> web.StreamResponse:
    return exchange.reset()


async def lost_reply(exchange: Exchange) -> web.StreamResponse:
    await exchange.ask()
    return exchange.reset()


async def cut(exchange: Exchange) -> web.StreamResponse:
    """Broken off in the middle of the body."""
    answer = await exchange.ask()
    await exchange.send(answer, len(answer.body) // 2)
    return exchange.reset()


async def shortened(exchange: Exchange) -> web.StreamResponse:
    """Half the body, with a head that says that it is all."""
    answer = await exchange.ask()
    answer.body = answer.body[: len(answer.body) // 2]
    answer.headers = without_checksums(answer.headers) | {"Content-Length": str(len(answer.body))}
    return await exchange.send(answer)


async def flipped(exchange: Exchange) -> web.StreamResponse:
    answer = await exchange.ask()
    answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1]) if answer.body else b""
    return await exchange.send(answer)


async def flipped_unchecked(exchange: Exchange) -> web.StreamResponse:
    """As from a store, or of an object, without checksums: only the ETag can tell."""
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
    """Passes requests on, or not.

    `faults[method]` are met first, one a request for an object; then `always[method]`; then what `storm`
    draws, for any request. While `outage` is set there is no answer to anything.
    """

    def __init__(self, upstream: str, seed: int = 0):
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.storm: Sequence[Rate] = ()
        self.outage = False
        self.page_keys: int | None = None  # of a listing; S3 sends 1,000
        self.seen: list[str] = []  # "GET /bucket/key", of all that were asked for
        self.met: Counter[str] = Counter()  # names of faults
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
        """A Python process that knows the store by this proxy only."""
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
