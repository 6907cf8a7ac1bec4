"""The city over HTTPS: the same messages from the same queue, posted in batches that may safely come twice.

``POST URL`` with ``{"v": 1, "gateway": …, "messages": [{"kind": …, "body": {…}}]}``, gzip, and an Idempotency-Key made
of what is inside, so that a server that lost its answer takes it once. 2xx takes the batch (its JSON answer may carry
``cases``); 429 and 5xx come again after Retry-After; 401 and 403 need a person; any other 4xx means that something in
the batch does not fit the city's schema: it is found by halves and parked with the city's words.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import http.client
import json
import logging
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

from cloud_bridge.city import CityLink, Letter
from edge.errors import Denied, Unreachable
from edge.mqtt.tls import Tls, plain

log = logging.getLogger(__name__)

TIMEOUT_S = 15.0
ANSWER_BYTES_MAX = 256 * 1024
RETRY_AFTER_S_MAX = 900.0
BUSY = (408, 425, 429)


class Answer(NamedTuple):
    """status, seconds until it may be asked again, and the body."""

    status: int
    after_s: float
    body: bytes


class Post:
    """One kept-alive connection to the first of the urls that answers. Blocks: one thread of its own."""

    def __init__(self, urls: Sequence[str], tls: Tls, authorization: str | None) -> None:
        self._urls, self._tls, self._authorization = list(urls), tls, authorization
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes, key: str, now_ms: int) -> Answer:
        """One request. Raises Unreachable, Denied."""
        url = urlsplit(self._urls[0])
        headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Idempotency-Key": key,
            **({"Authorization": self._authorization} if self._authorization else {}),
        }
        try:
            if self._connection is None:
                self._connection = self._open(now_ms)
            self._connection.request("POST", f"{url.path or '/'}{'?' + url.query if url.query else ''}", body, headers)
            response = self._connection.getresponse()
            after_s = _after_s(response.headers.get("Retry-After"))
            return Answer(response.status, after_s, response.read(ANSWER_BYTES_MAX))
        except OSError as fault:
            self.turn()
            if isinstance(fault, ssl.SSLError):
                raise Denied(f"{url.hostname}: {plain(fault)}") from fault
            raise Unreachable(f"{url.hostname}: {fault.strerror or fault}") from fault
        except http.client.HTTPException as fault:
            self.turn()
            raise Unreachable(f"{url.hostname}: the answer was cut off ({type(fault).__name__})") from fault

    def _open(self, now_ms: int) -> http.client.HTTPConnection:
        url = urlsplit(self._urls[0])
        host = url.hostname or ""
        if url.scheme == "https":
            return http.client.HTTPSConnection(host, url.port, timeout=TIMEOUT_S, context=self._tls.context(now_ms))
        return http.client.HTTPConnection(host, url.port, timeout=TIMEOUT_S)

    def turn(self) -> None:
        """Let this connection go and ask the next url."""
        self.close()
        self._urls.append(self._urls.pop(0))

    def close(self) -> None:
        """Safe always."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class CityPost(CityLink):
    """As CityLink, over HTTP. username and password make Basic, a password alone is a bearer token."""

    _unsettled: Sequence[Letter] = ()
    """A batch without an answer comes again exactly as it was, whatever has been queued meanwhile."""

    _line: Post | None = None

    def _post(self) -> Post:
        """Kept, so that the next attempt begins with the next url."""
        broker = self._broker
        secret = "".join(broker.password) if broker.password is not None else None
        authorization = f"Bearer {secret}" if secret else None
        if broker.username and secret:
            authorization = "Basic " + base64.b64encode(f"{broker.username}:{secret}".encode()).decode()
        self._line = Post(broker.urls, Tls(broker.ca, broker.cert, broker.key), authorization)
        return self._line

    async def _once(self) -> None:
        post = self._line or self._post()
        thread = ThreadPoolExecutor(1, thread_name_prefix="city-post")
        try:
            old = (await self._queue.fill()).newest
            while True:
                if not self._unsettled:
                    self._unsettled = await self._next(old)
                await self._hand_in(self._unsettled, post, thread)
                self._unsettled = ()
        finally:
            thread.submit(post.close)
            thread.shutdown(wait=False)

    async def _hand_in(self, letters: Sequence[Letter], post: Post, thread: ThreadPoolExecutor) -> None:
        """Until the city has taken, or for ever refused, each of them."""
        messages = [{"kind": letter.topic.rpartition("/")[2], "body": json.loads(letter.body)} for letter in letters]
        text = json.dumps({"v": 1, "gateway": self._frame.gateway, "messages": messages}, ensure_ascii=False)
        # Without the mark of a replay: the same content has the same key, however often it comes.
        key = hashlib.sha256(b"\n".join(letter.bare for letter in letters)).hexdigest()[:32]
        body, now_ms = gzip.compress(text.encode(), 5), self._clock.wall_ms()
        answer = await asyncio.get_running_loop().run_in_executor(thread, post.send, body, key, now_ms)
        numbers = [number for letter in letters for number in letter.numbers]
        if 200 <= answer.status < 300:
            if not self.connected:
                log.info("city link is up")
            self.connected, self._said_down = True, False
            await self._queue.drop(numbers)
            self._cases_in(answer.body)
        elif answer.status in (401, 403):
            raise Denied(f"the city refuses us ({answer.status}): look at username and password")
        elif answer.status in BUSY or answer.status >= 500 or answer.status < 400:
            post.turn()
            await self._clock.sleep(answer.after_s)
            raise Unreachable(f"the city is busy ({answer.status})")
        elif len(letters) > 1:
            middle = len(letters) // 2
            await self._hand_in(letters[:middle], post, thread)
            await self._hand_in(letters[middle:], post, thread)
        else:
            await self._park(letters[0], answer)

    async def _park(self, letter: Letter, answer: Answer) -> None:
        why = f"{answer.status}: {answer.body[:300].decode(errors='replace')}"
        self._count("parked")
        log.error("the city refuses %s for ever (%s); it is parked in city.db", letter.topic, why)
        for number in letter.numbers:
            await self._queue.park(number, why)

    def _cases_in(self, body: bytes) -> None:
        """Cases that came with the answer; an answer without any is no fault."""
        try:
            found = json.loads(body) if body else {}
        except ValueError:
            return
        cases = found.get("cases", []) if isinstance(found, dict) else []
        for case in cases if isinstance(cases, list) else []:
            self.take_case(json.dumps(case).encode())


def _after_s(text: str | None) -> float:
    """Retry-After in seconds, bounded; 0 without one or with a date."""
    return min(float(text), RETRY_AFTER_S_MAX) if text is not None and text.isdigit() else 0.0

