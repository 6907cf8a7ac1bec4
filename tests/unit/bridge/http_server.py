"""A small HTTP server that takes posts and fails as a test says: 429, 503, slow, cut in the middle."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.unit.bridge.uplinks import server


@dataclass
class Post:
    """One request that came whole."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Taker:
    """faults: what becomes of the next requests: a status line with headers, ``cut``, ``forget`` or ``slow``."""

    port: int = 0
    faults: list[str] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    asked: int = 0
    refuse: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        """Everything taken, as lines."""
        return [line for post in self.posts for line in post.body.decode().splitlines()]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            self.asked += 1
            fault = self.faults.pop(0) if self.faults else ""
            if fault == "cut":
                writer.write(b"HTTP/1.")
                await writer.drain()
                return
            if fault == "slow":
                await asyncio.sleep(30)
            post = Post(first.split()[1], headers, body)
            if fault == "forget":
                # It has the request, but its answer never comes: the next is the same again.
                self.posts.append(post)
                return
            if not fault and self.refuse is not None and self.refuse in body:
                fault = "400 Bad Request"
            if fault:
                writer.write(f"HTTP/1.1 {fault}\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                self.posts.append(post)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()


@asynccontextmanager
async def taking() -> AsyncIterator[Taker]:
    """A taker on a free port."""
    taker = Taker()
    async with server(taker.talk) as port:
        taker.port = port
        yield taker
