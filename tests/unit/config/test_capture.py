"""A recording of a real exchange, played again, gives the same readings; a faulty recording says where."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device_drivers.modbus.pdu import Request, crc16, rtu_frame
from device_drivers.mqtt.driver import line_of, message_of
from edge import capture
from edge.config import load_building
from edge.mqtt import Received
from simulators.building import GroundTruth
from simulators.devices.modbus_lines import RtuBus
from simulators.devices.modbus_unit import ModbusUnit

Edit = Callable[..., Path]


@pytest.fixture
def config(edit: Edit) -> Path:
    return edit(("127.0.0.1:8081", "127.0.0.1:0"))


@pytest.fixture
def bus(config: Path) -> Iterator[RtuBus]:
    """The file's first bus, alive in a thread of its own."""
    building = load_building(config)
    devices = [d for d in building.devices if d.link == "bus1"]
    resting = {name: profile.simulate for name, profile in building.profiles.items()}
    truth = GroundTruth(devices, ["bus1"], resting, 1, lambda: 1_795_000_000_000)
    units = {unit.unit: unit for unit in (ModbusUnit(d, truth) for d in devices)}
    port = next(Path(link.options["port"]) for link in building.links if link.id == "bus1")
    line = RtuBus(port, units, truth, 1)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(line.open(), loop).result(5)
    yield line
    asyncio.run_coroutine_threadsafe(line.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_what_was_recorded_is_read_again(config: Path, bus: RtuBus, tmp_path: Path) -> None:
    file = tmp_path / "bus1.jsonl"
    count = capture.capture(config, "bus1", file, 0.4)
    assert count >= 2 and stat.S_IMODE(file.stat().st_mode) == 0o600
    head, *pieces = [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]
    assert (head["link"], head["kind"]) == ("bus1", "modbus-rtu") and len(pieces) == count
    rows = capture.replay(config, file)
    good = {row["id"]: row["value"] for row in rows if row["quality"] == "good"}
    assert good and "s301/smoke" in good and good["s301/smoke"] is False


def test_a_fault_on_site_is_the_same_fault_again(config: Path, tmp_path: Path) -> None:
    """A recorded exception reply; whatever else is asked meets the recorded silence."""
    file = tmp_path / "fault.jsonl"
    building = load_building(config)
    device = next(d for d in building.devices if d.link == "bus1")
    asked = rtu_frame(Request(int(device.address), 3, 0)).hex()
    body = bytes([int(device.address), 0x83, 2])
    answer = (body + crc16(body)).hex()
    lines = [
        {"v": 1, "link": "bus1", "kind": "modbus-rtu", "at": None},
        {"t": 0.0, "dir": "out", "hex": asked},
        {"t": 0.01, "dir": "in", "hex": answer},
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="ascii")
    rows = capture.replay(config, file)
    first = next(row for row in rows if row["device"] == device.id)
    assert first["cause"] == "exception"


def test_messages_of_a_broker_are_played_again(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "zigbee.jsonl"
    said = Received("zigbee2mqtt/z1", b'{"smoke":true,"battery":NaN}', 1, True, False, False, 7, 1)
    assert message_of(line_of(said)) == said._replace(mid=0, epoch=0)
    head = {"v": 1, "link": "zigbee", "kind": "mqtt", "at": None}
    piece = {"t": 0.5, "dir": "in", "hex": line_of(said).hex()}
    file.write_text(f"{json.dumps(head)}\n{json.dumps(piece)}\n", encoding="ascii")
    rows = {row["id"]: row for row in capture.replay(config, file)}
    assert rows["z1/smoke"]["value"] is True
    assert rows["z1/battery"]["cause"] == "not_finite"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", "empty"),
        ("{", ":1:"),
        ('{"v": 2, "link": "bus1", "kind": "modbus-rtu"}', "version 2"),
        ('{"v": 1, "link": "nothing", "kind": "modbus-rtu"}', "no link"),
        ('{"v": 1, "link": "bus1", "kind": "mqtt"}', "recorded on a mqtt link"),
        ('{"v": 1, "link": "bus1", "kind": "modbus-rtu"}\n{"t": 1, "dir": "in", "hex": "0"}', ":2:"),
    ],
)
def test_a_faulty_recording_says_where(config: Path, tmp_path: Path, content: str, where: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(content, encoding="ascii")
    with pytest.raises(ValueError, match=where):
        capture.replay(config, file)


def test_a_recording_never_overwrites_one(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("kept", encoding="ascii")
    with pytest.raises(FileExistsError):
        capture.capture(config, "bus1", file, 0.1)
    assert file.read_text(encoding="ascii") == "kept"
