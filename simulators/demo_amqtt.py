"""``python -m simulators.demo_amqtt FILE``: the embedded broker of a demo without mosquitto, as a process of its own.

It speaks MQTT 3.1.1 only and keeps nothing when it dies: good for looking at the demo, never for a site.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

SETTINGS: dict[str, Any] = {}


class Accounts(BaseAuthPlugin):  # type: ignore[misc]
    """Names and passwords of the settings file."""

    async def authenticate(self, *, session: Session) -> bool | None:
        """True for a known name with its password."""
        known = SETTINGS["users"].get(session.username)
        return known is not None and known == session.password


class Rights(BaseTopicPlugin):  # type: ignore[misc]
    """Which account may read and write which topics."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        """True when a filter of the account covers the topic."""
        if session is None or topic is None:
            return False
        filters = SETTINGS["write" if action == Action.PUBLISH else "read"].get(session.username, [])
        return any(covers(pattern, topic) for pattern in filters)


def covers(pattern: str, topic: str) -> bool:
    """Does the filter cover the topic (or the narrower filter)?"""
    wanted, given = pattern.split("/"), topic.split("/")
    for place, part in enumerate(wanted):
        if part == "#":
            return True
        if place >= len(given) or given[place] == "#" or (part != "+" and part != given[place]):
            return False
    return len(wanted) == len(given)


async def serve() -> None:
    """Run until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{SETTINGS['port']}"}},
            "plugins": {f"{__spec__.name}.Accounts": {}, f"{__spec__.name}.Rights": {}},
        }
    )
    await broker.start()
    print(f"ready mqtt://127.0.0.1:{SETTINGS['port']}", flush=True)
    await stopped.wait()
    await broker.shutdown()


def main(path: str) -> int:
    """Exit code 0 after a signal."""
    logging.basicConfig(level=logging.ERROR)
    SETTINGS.update(json.loads(Path(path).read_text(encoding="utf-8")))
    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    # amqtt finds its plugins by module name; run the importable twin, so that there is one SETTINGS.
    from simulators import demo_amqtt

    sys.exit(demo_amqtt.main(sys.argv[1]))
