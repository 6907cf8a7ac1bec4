"""The main job on real input: from a detector's registers to a pixel, an answer, and the horn falling silent.

The demo's own processes: a simulated Modbus slave on a pty, the gateway, mosquitto, the duty room, Chromium.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.rig import TAP, missing, real_browser, wait
from tests.system.test_demo import RunningDemo, free_port, get, post

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")
SMOKE = "s1-301"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    running = RunningDemo(tmp_path / "demo", free_port())
    try:
        yield running.until_ready()
    finally:
        running.end()


def alarm_of(demo: RunningDemo, device: str) -> dict[str, Any] | None:
    """The gateway's own word on a device's open alarm."""
    gateway = demo.facts["gateways"][0]
    alarms = get(f"{gateway['base']}/api/v1/alarms", gateway["token"])
    return next((dict(alarm) for alarm in alarms if alarm["device"] == device), None)


def state_of(demo: RunningDemo, device: str) -> str | None:
    """The state of a device's open alarm, None when there is none."""
    alarm = alarm_of(demo, device)
    return alarm["state"] if alarm else None


def horn(demo: RunningDemo) -> bool:
    """Whether the relay board's horn coil is on: what a person at the guard's post hears."""
    points = get(f"{demo.facts['control_url']}/state")["points"]
    return bool(next(point["value"] for point in points if (point["device"], point["point"]) == ("relay1", "horn")))


def smoke(demo: RunningDemo, there: bool) -> None:
    """What really happens in flat 301."""
    post(f"{demo.facts['control_url']}/points/{SMOKE}/smoke", {"value": there})


def red_pixels(page: Page) -> int:
    """Pixels of the priority-1 red (#B3001B) in the picture a person sees."""
    return int(
        page.evaluate(
            """async (data) => {
              const image = await createImageBitmap(await (await fetch(data)).blob());
              const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
              canvas.drawImage(image, 0, 0);
              const bytes = canvas.getImageData(0, 0, image.width, image.height).data;
              let red = 0;
              for (let i = 0; i < bytes.length; i += 4)
                if (bytes[i] > 150 && bytes[i] < 200 && bytes[i + 1] < 25 && bytes[i + 2] < 50) red += 1;
              return red;
            }""",
            "data:image/png;base64," + _base64(page.screenshot()),
        )
    )


def _base64(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def test_from_registers_to_pixel_to_silence(demo: RunningDemo) -> None:
    assert demo.ready_url is not None
    with real_browser() as browser:
        context = browser.new_context(viewport={"width": 1366, "height": 768}, bypass_csp=True)
        context.add_init_script(TAP)
        page = context.new_page()
        page.goto(demo.ready_url)
        button = page.locator("form button")
        if button.count():
            button.first.click()
        page.wait_for_selector("[data-testid=now]")
        page.get_by_test_id("start-shift").click()
        page.get_by_test_id("heard").click()
        wait("all links of the gateway are up", lambda: _ready(demo), within_s=30)
        before = red_pixels(page)

        smoke(demo, True)
        wait("the gateway has the alarm", lambda: state_of(demo, SMOKE) == "UNACK", within_s=15)
        wait("the horn at the guard's post sounds", lambda: horn(demo), within_s=10)
        page.get_by_test_id("now").get_by_text("301").first.wait_for(timeout=10_000)
        assert red_pixels(page) > before + 500, "the alarm is not red on the screen"
        wait("the console sounds", lambda: page.evaluate("window.loudness ? window.loudness() : 0") > 0.01)

        page.wait_for_timeout(1200)  # a key in the first second belongs to what the person saw before
        page.keyboard.press("Enter")
        wait("the gateway has the person's answer", lambda: state_of(demo, SMOKE) == "ACKED", within_s=10)
        alarm = alarm_of(demo, SMOKE)
        assert alarm is not None and alarm["acknowledged"]["by"]["name"], "an answer carries a named person"
        wait("the horn falls silent", lambda: not horn(demo), within_s=10)

        smoke(demo, False)
        wait("the danger is over, the alarm is latched", lambda: state_of(demo, SMOKE) == "LACK", within_s=20)
        wait("the person of the grid was told", lambda: bool(get(f"{demo.facts['phone_url']}/messages")))
        context.close()
    wait("the city has the fact", lambda: _city_knows(demo), within_s=40)


def _ready(demo: RunningDemo) -> bool:
    with urllib.request.urlopen(f"{demo.facts['gateways'][0]['base']}/readyz", timeout=5) as answer:
        return bool(answer.status == 200)


def _city_knows(demo: RunningDemo) -> bool:
    return "fire.smoke" in json.dumps(get(f"{demo.facts['city_url']}/messages"))
