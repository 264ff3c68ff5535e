"""The operations of `Location` on web servers, with their own answers: fsspec hides most of them.

Only GET is asked: some servers refuse HEAD, or answer it with another length. A weak ETag, and the time of
the last change, may stay as they are while the bytes change, so neither is a mark of the object.
"""

import asyncio
import hashlib
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from fsspec.asyn import sync

from separation.store.errors import DamagedRead
from separation.store.location import Location
from separation.store.metadata import Stat
from separation.store.redact import shown

PIECE = 1 << 20  # bytes of a body that are in memory at once
ANSWER_S = 60.0  # until the head of an answer is there, with all its redirections
SLOWEST = 1 << 14  # bytes a second, after the first minute: a body that comes slower has stalled
PLAIN = {"Accept-Encoding": "identity"}  # a compressed body has another length


class HttpLocation(Location):
    def _stat(self) -> Stat:
        return self._receive(lambda piece: None, lambda found: False)

    def read_bytes(self) -> bytes:
        return self.on_object(self._read_bytes)

    def _read_bytes(self) -> bytes:
        data = io.BytesIO()
        self._receive(data.write)
        return data.getvalue()

    def digest(self) -> tuple[int, str]:
        return self.on_object(self._digest)

    def _digest(self) -> tuple[int, str]:
        sha256 = hashlib.sha256()
        found = self._receive(sha256.update)
        return found.bytes or 0, sha256.hexdigest()

    def _download(self, target: Path, etag: str | None, most: int | None) -> str:
        with target.open("wb") as file:
            return self._receive(file.write, lambda found: etag in (None, found.etag), most).etag

    def _receive(
        self,
        write: Callable[[bytes], object],
        wants: Callable[[Stat], bool] = lambda found: True,
        most: int | None = None,
    ) -> Stat:
        """Gives the body to `write` piece by piece if `wants`, told what the head says, is true.

        Returns what the head says, with the bytes that came where it gives no length. Raises `TooLarge` as
        soon as the body has more than `most` bytes.
        """
        found: Stat = sync(self.fs.loop, self._ask, write, wants, most)
        return found

    async def _ask(
        self, write: Callable[[bytes], object], wants: Callable[[Stat], bool], most: int | None
    ) -> Stat:
        async with self._answer() as answer:
            found = said(answer)
            if not wants(found):
                return found
            self.check_size(found.bytes, most)
            arrived, began = 0, time.monotonic()
            async for piece in answer.content.iter_chunked(PIECE):
                arrived += len(piece)
                self.check_size(arrived, most)
                if (passed := time.monotonic() - began) > ANSWER_S and arrived < passed * SLOWEST:
                    raise TimeoutError(f"{arrived} bytes in {passed:.0f} s")
                write(piece)
        if found.bytes not in (None, arrived):
            raise DamagedRead(shown(self.uri), f"{arrived} bytes arrived of {found.bytes}")
        return Stat(arrived, found.etag)

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[aiohttp.ClientResponse]:
        session = await self.fs.set_session()
        try:
            url = self.fs.encode_url(self.path)
        except ValueError as error:
            raise aiohttp.InvalidURL(self.path, str(error)) from error
        async with asyncio.timeout(ANSWER_S):
            answer = await session.get(url, headers=PLAIN)
        async with answer:
            if answer.status not in (200, 203):  # the latter: a proxy has changed something
                raise aiohttp.ClientResponseError(
                    answer.request_info, answer.history, status=answer.status, message=answer.reason or ""
                )
            yield answer


def said(answer: aiohttp.ClientResponse) -> Stat:
    """What the head of an answer says; no length if the body is compressed all the same."""
    plain = answer.headers.get("Content-Encoding", "identity") in ("identity", "")
    etag = answer.headers.get("ETag", "")
    return Stat(answer.content_length if plain else None, "" if etag.startswith("W/") else etag.strip('"'))
