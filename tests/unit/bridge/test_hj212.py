"""HJ 212-2017: the standard's own example, and a platform that answers, lies or is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge import hj212
from cloud_bridge.hj212 import Hj212Link, Hj212Settings, crc, decode, encode, real_time
from edge.errors import Garbled
from edge.model import Quality
from tests.unit.bridge.test_duty_room_link import until
from tests.unit.bridge.uplinks import House, server

MN = "010000A8900016F000169DC0"
EXAMPLE = (
    "QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
)


def settings(*ports: int, every_s: float = 60.0) -> Hj212Settings:
    addresses = [("127.0.0.1", port) for port in ports]
    return Hj212Settings(addresses, MN, "100000", {"pm25": "a34004", "co2": "a05001"}, every_s=every_s)


def test_the_standards_example() -> None:
    # Appendix A of the standard prints this segment with its checksum 1C80 and length 0101.
    assert crc(EXAMPLE.encode()) == "1C80"
    assert encode(EXAMPLE) == b"##0101" + EXAMPLE.encode() + b"1C80\r\n"
    assert decode(encode(EXAMPLE))["RtdInterval"] == "30"


def test_a_report_names_what_is_broken_without_a_number() -> None:
    qn, text = real_time(settings(1), datetime(2026, 11, 21, 13, 5, 0, 7000), {"a34004": 35.2, "a05001": None})
    assert qn == "20261121130500007"
    assert text.endswith("CP=&&DataTime=20261121130500;a05001-Flag=D;a34004-Rtd=35.2,a34004-Flag=N&&")


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_frame(noise: bytes) -> None:
    with pytest.raises(Garbled):
        decode(b"##" + noise)


def point(name: str, value: object, quality: Quality = Quality.GOOD) -> object:
    return SimpleNamespace(device="a1", point=name, value=value, quality=quality, unit=None, age_s=1.0)


async def platform(house: House, answers: Callable[[int, dict[str, str]], bytes], every_s: float = 60.0) -> list[str]:
    """What a platform heard until the link was up and had spoken twice, or had been lost once."""
    heard: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            frame = await reader.readuntil(b"\r\n")
            heard.append(frame.decode())
            writer.write(answers(len(heard), decode(frame)))

    async with server(talk) as port:
        link = Hj212Link(settings(port, every_s=every_s), house.kit)
        async with house.running(link):
            await until(lambda: (link.connected and len(heard) >= 2) or house.counts["unreachable"] > 0)
    return heard


def yes(fields: dict[str, str]) -> bytes:
    return encode(f"QN={fields['QN']};ST=91;CN=9014;PW=100000;MN={MN};Flag=4;CP=&&&&")


async def test_values_are_told_and_answered(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.values = [point("pm25", 30.0), point("pm25", 40.0), point("co2", 1.0, Quality.BAD), point("fill", 3)]
    heard = await platform(house, lambda _, fields: yes(fields), every_s=0.05)
    assert "a34004-Rtd=35,a34004-Flag=N" in heard[0] and "a05001-Flag=D" in heard[0] and "fill" not in heard[0]


async def test_silence_and_wrong_answers_are_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hj212, "ANSWER_S", 0.05)
    house = House(tmp_path)
    house.values = [point("pm25", 30.0)]
    other = yes({"QN": "20000101000000000"})
    heard = await platform(house, lambda n, fields: other if n == 1 else b"##0005wrong0000\r\n" if n == 2 else b"")
    assert len(heard) == 3 and len(set(heard)) == 1, "the same report, three times"
    assert house.counts["garbled"] == 1 and house.counts["unknown_request"] == 1
