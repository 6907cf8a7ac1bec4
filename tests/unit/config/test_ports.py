"""Names of serial ports that stay: by-id, by-path when two adapters share an id, and what check and doctor say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import check, ports
from edge.config.ports import Advice, advise, stable_name, stable_ports
from edge.doctor import examine

Edit = Callable[..., Path]


class Machine:
    """A /dev and a /sys of its own."""

    def __init__(self, folder: Path) -> None:
        self.dev, self.sys = folder / "dev", folder / "sys" / "class" / "tty"
        self._usb = folder / "sys" / "usb"
        for path in (self.dev / "serial" / "by-id", self.dev / "serial" / "by-path", self.sys):
            path.mkdir(parents=True)

    def plug(self, tty: str, serial: str, by_id: str | None, by_path: str | None, product: str = "7523") -> None:
        """An adapter in a socket of its own, as udev shows it."""
        adapter = self._usb / tty
        interface = adapter / "1.0" / tty
        interface.mkdir(parents=True)
        for name, text in {"idVendor": "1a86", "idProduct": product, "serial": serial}.items():
            if text:
                (adapter / name).write_text(text + "\n")
        (self.sys / tty).mkdir()
        (self.sys / tty / "device").symlink_to(interface)
        (self.dev / tty).touch()
        for folder, link in (("by-id", by_id), ("by-path", by_path)):
            if link is not None:
                path = self.dev / "serial" / folder / link
                path.unlink(missing_ok=True)
                path.symlink_to(f"../../{tty}")

    def path(self, *parts: str) -> str:
        return str(self.dev.joinpath(*parts))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path / "machine")
    monkeypatch.setattr(ports, "DEV", made.dev)
    monkeypatch.setattr(ports, "SYS", made.sys)
    return made


def test_a_bare_name_is_told_its_by_id_path(machine: Machine) -> None:
    machine.plug("ttyUSB0", "A50285BI", "usb-FTDI_A50285BI-if00-port0", "pci-0:1:1.0")
    right = machine.path("serial", "by-id", "usb-FTDI_A50285BI-if00-port0")
    assert advise(machine.path("ttyUSB0")) == Advice("port-name-near", right)
    assert advise(right) is None
    assert stable_ports() == [right]


def test_two_adapters_with_one_id_are_told_their_sockets(machine: Machine) -> None:
    machine.plug("ttyUSB0", "", "usb-1a86_USB_Serial-if00-port0", "pci-0:1:1.0")
    machine.plug("ttyUSB1", "", "usb-1a86_USB_Serial-if00-port0", "pci-0:2:1.0")
    shared = machine.path("serial", "by-id", "usb-1a86_USB_Serial-if00-port0")
    assert advise(machine.path("ttyUSB0")) == Advice("port-name-near", machine.path("serial", "by-path", "pci-0:1:1.0"))
    assert advise(shared) == Advice("port-shared", machine.path("serial", "by-path", "pci-0:2:1.0"))
    assert advise(machine.path("serial", "by-path", "pci-0:2:1.0")) is None


def test_two_ports_of_one_adapter_and_other_models_share_nothing(machine: Machine) -> None:
    machine.plug("ttyUSB0", "X", "usb-X-if00", None)
    machine.plug("ttyACM0", "X", "usb-Y-if00", None, product="55d4")
    (machine.sys / "ttyUSB1").mkdir()
    (machine.sys / "ttyUSB1" / "device").symlink_to((machine.sys / "ttyUSB0" / "device").resolve())
    assert stable_name("ttyUSB0") == machine.path("serial", "by-id", "usb-X-if00")
    assert stable_name("ttyACM0") == machine.path("serial", "by-id", "usb-Y-if00")


def test_an_adapter_that_udev_does_not_name_and_ports_on_the_board(machine: Machine) -> None:
    assert advise(machine.path("ttyUSB7")) == Advice("port-name", None)
    for stays in ("ttyS0", "ttyAMA0", "ttymxc2"):
        assert advise(machine.path(stays)) is None
    assert stable_ports() == []


def test_check_and_doctor_name_the_right_path(machine: Machine, edit: Edit) -> None:
    machine.plug("ttyUSB0", "A5", "usb-A5", "pci-1")
    right = machine.path("serial", "by-id", "usb-A5")
    config = edit(("./dev/bus1,", machine.path("ttyUSB0") + ","), ("./dev/rf,", machine.path("ttyUSB9") + ","))
    warnings = {f.remedy for f in check(config, "en") if "after the next start" in f.message}
    assert f"write {right}" in warnings and len(warnings) == 2
    rows = [row for row in examine(config) if "ttyUSB9" in row["what"] and row["result"] == "fault"]
    assert rows and rows[0]["remedy"] == f"plug the adapter in; adapters here: {right}"
