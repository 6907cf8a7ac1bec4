"""A real duty room behind a real mosquitto, a stand-in gateway that answers commands, and a real Chromium."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from simulators.demo_brokers import mosquitto

LINLI = Path(sys.executable).with_name("linli")
ROOT = Path(__file__).parents[2]
DIST = ROOT / "duty_room" / "web" / "dist"
AXE = ROOT / "duty_room" / "console" / "node_modules" / "axe-core" / "axe.min.js"
TOPIC = "linli/v1/b12"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TAP = """
(() => {
  const connect = AudioNode.prototype.connect;
  const taps = new WeakMap();
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      let tap = taps.get(target);
      if (!tap) {
        tap = target.context.createAnalyser();
        tap.fftSize = 32768;
        connect.call(tap, target);
        taps.set(target, tap);
        window.loudness = () => {
          const samples = new Float32Array(tap.fftSize);
          tap.getFloatTimeDomainData(samples);
          return samples.reduce((loudest, one) => Math.max(loudest, Math.abs(one)), 0);
        };
      }
      return connect.call(this, tap, ...rest);
    }
    return connect.call(this, target, ...rest);
  };
})();
"""
"""Every sound passes an AnalyserNode, so that a test hears what a person would."""


def missing() -> str | None:
    """What this machine lacks for the browser tests, or None."""
    if mosquitto() is None:
        return "mosquitto is not installed"
    if chromium() is None:
        return "chromium is not installed"
    if not (DIST / "index.html").is_file() or not AXE.is_file():
        return "the console is not built (make setup)"
    return None


def chromium() -> str | None:
    """The system's own browser."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait(what: str, holds: Callable[[], bool], within_s: float = 10.0) -> float:
    """Seconds until it holds. Raises AssertionError when it does not."""
    begin = time.monotonic()
    while time.monotonic() - begin < within_s:
        if holds():
            return time.monotonic() - begin
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s: {what}")


def now() -> str:
    """RFC 3339 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Gateway:
    """Stands in for gateway b12: hand-made messages, and an answer to every command while it is not deaf."""

    def __init__(self, port: int) -> None:
        self.commands: list[dict[str, Any]] = []
        self.duty: dict[str, Any] = {}
        self.deaf = False
        self._seq = 0
        self._beats = 0
        self._alarms: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="b12", protocol=paho.MQTTv5)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(f"{TOPIC}/command", 1), (f"{TOPIC}/duty", 0)])
        self._client.loop_start()
        self._publish("site", self._site(), retain=True)
        self._beat = threading.Thread(target=self._beating, name="heartbeat", daemon=True)
        self._beat.start()

    def raise_alarm(self, alarm: str, alarm_class: str = "fire.smoke", priority: int = 1, **more: Any) -> None:
        """A new alarm; ``floor``, ``household``, ``unit`` place it."""
        place = {
            "community": "新盛",
            "building": "12",
            "unit": more.get("unit", "1"),
            "floor": more.get("floor", 3),
            "household": more.get("household", "301"),
        }
        self._alarms[alarm] = {
            "alarm_id": alarm, "class": alarm_class, "priority": priority, "state": "UNACK", "condition": "on",
            "device": f"d-{alarm}", "point": "smoke", "place": place, "value": more.get("value", True), "unit": None,
        }  # fmt: skip
        self._event(alarm, "raised")

    def clear(self, alarm: str) -> None:
        """The device has recovered; the alarm stays latched."""
        acked = self._alarms[alarm]["state"] == "ACKED"
        self._alarms[alarm].update(condition="off", state="LACK" if acked else "LUNACK")
        self._event(alarm, "cleared")

    def stop(self) -> None:
        """Leave the broker."""
        self._stop.set()
        self._beat.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self, name: str, body: dict[str, Any], retain: bool = False) -> None:
        self._client.publish(f"{TOPIC}/{name}", json.dumps({"v": 1, **body}), qos=1, retain=retain)

    def _event(self, alarm: str, kind: str, by: dict[str, Any] | None = None) -> None:
        with self._lock:
            self._seq += 1
            seq = self._seq
        more = {"event_id": f"e{seq}", "seq": seq, "kind": kind, "observed_at": None, "received_at": now(), "by": by}
        fixed = {"clock": "synced", "reason": None, "late": False, "test": False, "replay": False}
        self._publish("event", {**self._alarms[alarm], **more, **fixed})

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        if message.topic.endswith("/duty"):
            self.duty = body
            return
        self.commands.append(body)
        if self.deaf:
            return
        outcome = {"command_id": body["command_id"], "result": "done", "code": "done", "message": "", "at": now()}
        self._publish("outcome", outcome)
        alarm = self._alarms[body["alarm_id"]]
        if body["kind"] == "acknowledge" and alarm["state"] in ("UNACK", "LUNACK"):
            alarm["state"] = "ACKED" if alarm["condition"] == "on" else "LACK"
            self._event(body["alarm_id"], "acknowledged", body["by"])
        elif body["kind"] == "reset" and alarm["condition"] == "off":
            alarm["state"] = "NORM"
            self._event(body["alarm_id"], "reset", body["by"])

    def _beating(self) -> None:
        while not self._stop.wait(0.0 if self._beats == 0 else 5.0):
            self._beats += 1
            links = {"bus1": "up", "rf": "up"}
            beat = {"boot_id": "boot", "seq": self._beats, "head": self._seq, "clock": "synced", "links": links}
            self._publish("heartbeat", {**beat, "open": 0, "outbox": 0, "durable": True})

    @staticmethod
    def _site() -> dict[str, Any]:
        counts = [
            {"unit": unit, "floor": floor, "kind": kind, "life_safety": True, "total": 2, "online": 2}
            for unit in ("1", "2")
            for floor in range(1, 19)
            for kind in ("smoke", "gas")
        ]
        shape = {"units": ["1", "2"], "floors": [1, 18], "households_per_floor": 2, "counts": counts}
        return {"community": "新盛", "grid": "XS-03", "micro_grid": "XS-03-07", "building": "12", **shape}


class Room:
    """Broker and duty room as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.broker_port, self.port = free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.config = folder / "duty-room.yaml"
        (folder / "broker.conf").write_text(f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\n")
        people = "id,name,role,grid,tell\nli,李四,grid_worker,XS-03,\nwang,王芳,grid_worker,XS-09,\n"
        (folder / "people.csv").write_text(people, encoding="utf-8")
        self.config.write_text(
            "duty_room: {id: xinsheng, data_dir: ./data, timezone: Asia/Shanghai, "
            f'listen: "127.0.0.1:{self.port}", public_url: "{self.base}"}}\n'
            f'broker: {{url: "mqtt://127.0.0.1:{self.broker_port}"}}\ngateways: [b12]\npeople: people.csv\n',
            encoding="utf-8",
        )
        program = mosquitto()
        assert program is not None
        conf = str(folder / "broker.conf")
        self._broker = subprocess.Popen([program, "-c", conf], stderr=subprocess.DEVNULL)
        wait("the broker listens", self._listens)
        command = [str(LINLI), "duty-room", "--config", str(self.config)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        ready = any(line.startswith("ready ") for line in iter(self.process.stdout.readline, ""))
        assert ready, "the duty room does not start"

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.broker_port)) == 0

    def sign_in(self) -> str:
        """A new one-time link."""
        text = subprocess.check_output(
            [str(LINLI), "sign-in", "--config", str(self.config), "--role", "duty_officer", "--name", "陈建国"],
            text=True,
        )
        return next(word for word in text.split() if word.startswith("http"))

    def stop(self) -> None:
        """End both processes."""
        for process in (self.process, self._broker):
            process.kill()
            process.wait()


@contextmanager
def real_browser() -> Iterator[Browser]:
    """The system's Chromium, without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def console(browser: Browser, room: Room, width: int = 1920, height: int = 1080) -> Iterator[Page]:
    """A signed-in page of the console. Fails on a script error and on any request to another host."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": height}, timezone_id="Asia/Shanghai", bypass_csp=False
    )
    context.add_init_script(TAP)
    page = context.new_page()
    errors: list[str] = []
    strangers: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(room.base) else strangers.append(request.url))
    try:
        page.goto(room.sign_in())
        # The sign-in page asks for a click, so that a chat preview cannot use the link up.
        button = page.locator("form button")
        if button.count():
            button.first.click()
        page.wait_for_selector("[data-testid=now]")
        yield page
    finally:
        context.close()
    assert errors == []
    assert [url for url in strangers if not url.startswith(("blob:", "data:"))] == []
