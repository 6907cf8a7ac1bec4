"""The child of the messenger: ``python -m edge.channels.messenger_child``.

Reads one line of JSON ``{urls, title, body}`` from standard input and writes one line per URL, as soon as it is
known: ``<number> taken``, ``<number> later <why>`` or ``<number> bad``. Ends by itself when its parent is gone.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from edge import limits

THREADS_MAX: Final = 8
_STATUS: Final = re.compile(r"\berror[=: ]+(\d{3})\b")


class _Reason(logging.Handler):
    """Keeps what may be said about a failure: a status number, never the text, which may hold secrets."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.by_thread: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        found = _STATUS.search(record.getMessage())
        if found and record.thread is not None:
            self.by_thread[record.thread] = f"the service answered {found[1]}"


def _watch_parent() -> None:
    """End at once when standard input ends: whoever wanted the message is gone and will ask again."""
    while os.read(sys.stdin.fileno(), 4096):
        pass  # Nothing more is expected; whatever comes is not for us.
    os._exit(3)


def _hand_over(url: str, title: str, body: str, reason: _Reason) -> str:
    """One URL, once. Returns ``taken``, ``later <why>`` or ``bad``."""
    import apprise

    service = apprise.Apprise.instantiate(url)
    if service is None:
        return "bad"
    reason.by_thread.pop(threading.get_ident(), None)
    if service.notify(body=body, title=title):
        return "taken"
    return f"later {reason.by_thread.get(threading.get_ident(), 'the service did not take it')}"


def main() -> int:
    """Exit 0 when every URL has its line; the parent reads the lines, not the code."""
    # A second guard beside the parent's kill: SIGALRM ends the process whatever a plugin does.
    signal.setitimer(signal.ITIMER_REAL, limits.NOTICE_CHILD_S + 5)
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
    reason = _Reason()
    logger = logging.getLogger("apprise")
    logger.addHandler(reason)
    logger.propagate = False
    said = threading.Lock()

    def one(number: int, url: str) -> None:
        answer = _hand_over(url, order["title"], order["body"], reason)
        with said:
            print(number, answer, flush=True)

    with ThreadPoolExecutor(THREADS_MAX, "way") as pool:
        for future in [pool.submit(one, number, url) for number, url in enumerate(order["urls"])]:
            future.result()
    return 0


if __name__ == "__main__":
    sys.exit(main())
