"""``linli scan`` on a 433 MHz receiver: press the buttons, read off their addresses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.scan import scan
from simulators.devices.rf433 import frame
from tests.unit.config.pty_far_end import FarEnd

Edit = Callable[..., Path]


def test_scan_lists_buttons_with_the_names_the_file_has_for_them(
    edit: Edit, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_drivers.serial.driver.LEARN_S", 0.5)
    far = FarEnd(site.parent / "rf")
    config = edit(("./dev/rf,", "./rf,"), ("127.0.0.1:8081", "127.0.0.1:0"))
    pressing = threading.Timer(0.2, lambda: far.say(frame(0xA1B2C, 8) + frame(0x12345, 1)))
    pressing.start()
    found = scan(config, "rf", lambda *_: None)
    pressing.join()
    far.close()
    assert found == [{"address": "A1B2C", "device": "c502"}, {"address": "12345", "device": None}]
