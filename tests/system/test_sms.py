"""A real gateway with a modem: the roster is told by short message, and a reply is the acknowledgement."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

from simulators.modem import ModemStandIn
from tests.system.gateway_harness import House, house_in

LI = "+8613800138000"


async def until(true: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    for _ in range(round(within_s / 0.05)):
        if await asyncio.to_thread(true):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {within_s:.0f} s: {what}")


def acknowledged(house: House) -> bool:
    rows = house.get("/api/v1/alarms")
    return bool(rows) and all(row["state"] == "ACKED" for row in rows if row["priority"] <= 2)


async def test_a_line_goes_down_a_text_goes_out_and_its_code_comes_back(tmp_path: Path) -> None:
    modem = ModemStandIn()
    with house_in(tmp_path) as house:
        port = modem.start()
        dead = {"id": "plc", "kind": "modbus-tcp", "host": "127.0.0.1", "port": house.ports["building"]}
        device = {"id": "g1", "profile": "example/gas-modbus", "link": "plc", "address": 1}
        roster = [{"id": "li", "name": "李四", "tell": [f"sms:{LI}"]}]
        house.write([dead], [device], roster=roster, modem={"port": port})
        alone = json.loads(house.config.read_text(encoding="utf-8"))
        del alone["duty_room"]
        house.config.write_text(json.dumps(alone), encoding="utf-8")
        gateway = house.start_gateway()
        await asyncio.to_thread(gateway.until_ready)
        await until(lambda: bool(modem.texts), "a text goes out")
        text = modem.texts[0]
        assert text.number == LI and text.report_wanted and "线路中断" in text.text
        code = re.search(r"回复 (\d{4})", text.text)
        assert code is not None, text.text
        modem.receive(LI, f"{code[1]} 马上去")
        await until(lambda: acknowledged(house), "李四 has answered")
        await until(lambda: any("已记录" in one.text for one in modem.texts), "and hears that it counts")
        code_at_end, _ = await asyncio.to_thread(gateway.stop)
        assert code_at_end == 0
    modem.unplug()
