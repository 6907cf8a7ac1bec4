"""The demo's building as files: what a site engineer would write for a tower of 18 floors, 2 stairs and 72 households.

Two RS-485 buses carry the smoke detectors of one stair each, a Modbus TCP host the gas detectors and the relay board,
one broker the Zigbee sensors, bins and doors, one receiver the call buttons. Devices and addresses are always the
same; only ports and passwords are passed in.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GATEWAY_ID = "b12"
FLOORS = (1, 18)
UNITS = ("1", "2")
HOUSEHOLDS_PER_FLOOR = 2
GRID, MICRO_GRID = "XS-03", "XS-03-07"
BAUDRATE = 19200
"""54 detectors of one stair answer in about one second at this rate, half of their poll time."""
BUTTON_EVERY = 72 / 30
"""30 of the 72 households have a call button: the ones where old people live alone."""
GAS_RELAY_UNIT = 100

PEOPLE: tuple[tuple[str, str, str, str], ...] = (
    ("li", "李四", "grid_worker", MICRO_GRID),
    ("wang", "王芳", "micro_grid_worker", MICRO_GRID),
    ("zhao", "赵敏", "grid_chief", GRID),
    ("chen", "陈建国", "duty_officer", ""),
    ("liu", "刘洋", "grid_worker", "XS-03-08"),
)
"""id, name, role, grid. The last one works next door: told only when the others do not answer."""
OFFICER = "周敏"
"""Who sits at the console: the first sign-in link is for her."""
ROSTER = ("li", "wang", "chen")
"""Whom the gateway tells by itself."""


@dataclass(frozen=True, slots=True)
class Broker:
    """One account at a broker."""

    url: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything about the building that is not the same at every start."""

    gateway_port: int
    duty_room_port: int
    plc_port: int
    phone_url: str
    alarms: Broker
    readings: Broker | None
    duty: Broker
    desk: Broker
    city: Broker
    city_every_s: int


def households() -> Iterator[tuple[str, int, str]]:
    """(unit, floor, household) of all 72, stair by stair from the ground up."""
    for unit in UNITS:
        for floor in range(FLOORS[0], FLOORS[1] + 1):
            for number in range(1, HOUSEHOLDS_PER_FLOOR + 1):
                yield unit, floor, f"{floor}{number:02d}"


def devices() -> Iterator[dict[str, Any]]:
    """Every device: 108 + 12 smoke, 72 gas, 12 fire doors, 12 bins, 4 access, 30 buttons, one relay board."""
    yield from _smoke_and_gas()
    yield from _zigbee()
    yield from _yard()
    yield from _buttons()
    yield {
        "id": "relay1", "profile": "relay/waveshare", "link": "plc", "address": GAS_RELAY_UNIT,
        "place": {"unit": "1", "floor": 1, "room": "值班室"},
    }  # fmt: skip


def _smoke_and_gas() -> Iterator[dict[str, Any]]:
    """Per household one smoke detector on the stair's bus and one gas detector; per floor one smoke in the corridor."""
    on_bus = dict.fromkeys(UNITS, 0)
    for number, (unit, floor, household) in enumerate(households(), 1):
        place = {"unit": unit, "floor": floor, "household": household}
        on_bus[unit] += 1
        yield {
            "id": f"s{unit}-{household}", "profile": "example/smoke-modbus", "link": f"bus{unit}",
            "address": on_bus[unit], "place": place | {"room": "客厅"},
        }  # fmt: skip
        yield {
            "id": f"g{unit}-{household}", "profile": "example/gas-modbus", "link": "plc",
            "address": number, "place": place | {"room": "厨房"},
        }  # fmt: skip
    for unit in UNITS:
        for floor in range(FLOORS[0], FLOORS[1] + 1):
            on_bus[unit] += 1
            yield {
                "id": f"s{unit}-f{floor:02d}", "profile": "example/smoke-modbus", "link": f"bus{unit}",
                "address": on_bus[unit], "place": {"unit": unit, "floor": floor, "room": "走廊"},
            }  # fmt: skip


def _zigbee() -> Iterator[dict[str, Any]]:
    """Where no cable goes: 12 smoke sensors in shafts and stores, 12 contacts on fire doors and roof hatches."""
    for number in range(1, 13):
        unit, floor = UNITS[number % 2], (number - 1) // 2 * 3 + 2
        yield {
            "id": f"zs{number:02d}", "profile": "zigbee2mqtt/smoke", "link": "zigbee",
            "address": f"zigbee2mqtt/smoke-{number:02d}", "place": {"unit": unit, "floor": floor, "room": "电井"},
        }  # fmt: skip
        yield {
            "id": f"zd{number:02d}", "profile": "zigbee2mqtt/door", "link": "zigbee",
            "address": f"zigbee2mqtt/door-{number:02d}", "place": {"unit": unit, "floor": floor + 1, "room": "防火门"},
        }  # fmt: skip


def _yard() -> Iterator[dict[str, Any]]:
    """Bins in the yard and the doors people come in by."""
    for number in range(1, 13):
        kind = ("厨余", "可回收", "其他", "有害")[(number - 1) % 4]
        yield {
            "id": f"bin{number:02d}", "profile": "bin/mqtt-bin", "link": "zigbee", "address": f"bins/bin{number:02d}",
            "place": {"floor": 1, "text": f"{(number - 1) // 4 + 1} 号投放点 {kind}桶"},
        }  # fmt: skip
    doors = (("1", 1, "一单元大门"), ("2", 1, "二单元大门"), ("1", 18, "天台门"), ("2", 1, "非机动车库门"))
    for number, (unit, floor, name) in enumerate(doors, 1):
        yield {
            "id": f"door{number}", "profile": "access/mqtt-door", "link": "zigbee", "address": f"access/door{number}",
            "place": {"unit": unit, "floor": floor, "room": name},
        }  # fmt: skip


def _buttons() -> Iterator[dict[str, Any]]:
    """Thirty call buttons, spread over the tower. The code is what the EV1527 chip was born with."""
    homes = list(households())
    for number in range(30):
        unit, floor, household = homes[int(number * BUTTON_EVERY)]
        yield {
            "id": f"c{unit}-{household}", "profile": "rf433/call-button", "link": "rf",
            "address": f"{0xA1B00 + number * 0x25:05X}",
            "place": {"unit": unit, "floor": floor, "household": household, "room": "卧室"},
        }  # fmt: skip


def building_yaml(wiring: Wiring) -> str:
    """The gateway's building file. Passwords stay in files beside it."""
    readings = {}
    if wiring.readings is not None:
        readings = {"readings_username": wiring.readings.username, "readings_password": secret(wiring.readings)}
    bus = {"kind": "modbus-rtu", "baudrate": BAUDRATE, "parity": "N", "stopbits": 1}
    links: list[Mapping[str, Any]] = [
        {"id": f"bus{unit}", **bus, "port": f"./dev/bus{unit}"} for unit in UNITS
    ]  # fmt: skip
    links += [
        {"id": "plc", "kind": "modbus-tcp", "host": "127.0.0.1", "port": wiring.plc_port},
        {"id": "zigbee", "kind": "mqtt", **account(wiring.alarms), **readings},
        {"id": "rf", "kind": "rf433", "port": "./dev/rf", "baudrate": 19200},
    ]  # fmt: skip
    roster = [
        {"id": person, "name": name, "role": role, "tell": [tell_url(wiring.phone_url, person)]}
        for person, name, role, _grid in PEOPLE
        if person in ROSTER
    ]
    return "\n".join(
        [
            "# The demo's building, written anew at each start. The real thing looks the same.",
            line("gateway", {
                "id": GATEWAY_ID, "data_dir": "./gateway", "timezone": "Asia/Shanghai",
                "listen": f"127.0.0.1:{wiring.gateway_port}",
            }),
            line("site", {
                "community": "新盛", "grid": GRID, "micro_grid": MICRO_GRID, "building": "12", "units": list(UNITS),
                "floors": list(FLOORS), "households_per_floor": HOUSEHOLDS_PER_FLOOR,
            }),
            *block("links", links),
            *block("sounders", [
                {"point": "relay1/horn", "classes": ["fire.*", "gas.*", "bin.overheat"], "when": "at_once"},
                {"point": "relay1/horn", "classes": ["sos.call", "duty_room.unheard"], "when": "ladder"},
            ]),
            *block("linkages", [
                {"classes": ["gas.combustible"], "priority": 1, "point": "relay1/gas_valve", "value": True},
            ]),
            *block("roster", roster),
            line("duty_room", account(wiring.duty)),
            line("uplinks", {"city": account(wiring.city) | {"every_s": wiring.city_every_s}}),
            *block("devices", list(devices())),
            "",
        ]
    )  # fmt: skip


def duty_room_yaml(wiring: Wiring) -> str:
    """The duty room's file."""
    base = f"http://127.0.0.1:{wiring.duty_room_port}"
    return "\n".join(
        [
            "# The demo's duty room, written anew at each start.",
            line("duty_room", {
                "id": "xinsheng", "data_dir": "./duty-room", "timezone": "Asia/Shanghai",
                "listen": f"127.0.0.1:{wiring.duty_room_port}", "public_url": base,
            }),
            line("broker", account(wiring.desk)),
            line("gateways", [GATEWAY_ID]),
            line("people", "people.csv"),
            "",
        ]
    )  # fmt: skip


def people_csv(phone_url: str) -> str:
    """Who works here, and the phone of each."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "name", "role", "grid", "tell"])
    for person, name, role, grid in PEOPLE:
        writer.writerow([person, name, role, grid, tell_url(phone_url, person)])
    return out.getvalue()


def tell_url(phone_url: str, person: str) -> str:
    """The Apprise URL of a person's stand-in phone."""
    return phone_url.replace("http://", "json://") + f"/to/{person}"


def account(broker: Broker) -> dict[str, Any]:
    """A broker as the files say it."""
    return {"url": broker.url, "username": broker.username, "password": secret(broker)}


def secret(broker: Broker) -> str:
    """Reference to the password's file, which lies beside the building file."""
    return f"${{file:secrets/{broker.username}.pw}}"


def line(key: str, value: Any) -> str:
    """One key with a flow value; JSON is YAML."""
    return f"{key}: {json.dumps(value, ensure_ascii=False)}"


def block(key: str, items: list[Any]) -> list[str]:
    """One key with a list, one item per line, so that a finding's line names the device."""
    return [f"{key}:", *(f"  - {json.dumps(item, ensure_ascii=False)}" for item in items)]
