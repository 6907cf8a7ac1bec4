"""Where a simulated port may stand, and what pulling it out does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simulators.devices.pty_line import PortRefused, PtyLine, claim


@pytest.mark.parametrize("port", ["/dev/ttyUSB77", "/dev/serial/by-id/x"])
def test_nothing_is_put_under_dev(port: str) -> None:
    with pytest.raises(PortRefused, match="under /dev"):
        claim(Path(port))


def test_a_way_round_to_dev_is_seen(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("/dev")
    with pytest.raises(PortRefused, match="under /dev"):
        claim(tmp_path / "round" / "ttyUSB77")


def test_what_stands_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "usb").symlink_to("/dev/null")
    for name in ("file", "usb"):
        with pytest.raises(PortRefused):
            claim(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


async def test_a_port_left_behind_is_replaced_and_ours_removed(tmp_path: Path) -> None:
    port = tmp_path / "deep" / "bus1"
    port.parent.mkdir()
    port.symlink_to("/dev/pts/987654")
    line = PtyLine(port, lambda data: None)
    line.open()
    line.open()
    assert os.readlink(port).startswith("/dev/pts/") and port.exists()
    line.close()
    line.close()
    assert not port.is_symlink() and list(port.parent.iterdir()) == []


async def test_pulling_the_port_hangs_up(tmp_path: Path) -> None:
    line = PtyLine(tmp_path / "bus1", lambda data: None)
    line.open()
    host = os.open(tmp_path / "bus1", os.O_RDWR | os.O_NOCTTY)
    line.close()
    assert os.read(host, 1) == b""
    with pytest.raises(OSError):
        os.write(host, b"x")
    os.close(host)


async def test_what_nobody_reads_is_lost_and_counted(tmp_path: Path) -> None:
    line = PtyLine(tmp_path / "bus1", lambda data: None)
    line.open()
    for _ in range(64):
        line.write(bytes(4096))
    assert line.dropped > 0
    line.close()
    line.write(b"to nobody")
