"""A scenario of the demo's start waits for a gateway that listens: what nobody hears yet would be lost."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request

SELF_STARTING = ("day", "quiet")
"""Scenarios that go on for ever; the simulators play them from their own start, and again after a crash."""
HEARING_S = 30.0
"""Longest wait for every link of the gateway; after that the scenario is played to whoever is there."""


async def play_when_heard(gateway_port: int, control_port: int, scenario: str) -> None:
    """Play the scenario once the gateway's links are up."""
    end_s = time.monotonic() + HEARING_S
    while not await asyncio.to_thread(_answers, f"http://127.0.0.1:{gateway_port}/readyz", "GET"):
        if time.monotonic() > end_s:
            break
        await asyncio.sleep(0.25)
    await asyncio.to_thread(_answers, f"http://127.0.0.1:{control_port}/scenarios/{scenario}", "POST")


def _answers(url: str, method: str) -> bool:
    request = urllib.request.Request(
        url, method=method, data=b"{}" if method == "POST" else None, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status < 300)
    except (urllib.error.URLError, OSError):
        return False
