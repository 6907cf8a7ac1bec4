"""Payloads of MQTT devices, recorded and wicked, to values: pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers.mqtt import decode
from device_drivers.mqtt.decode import ABSENT, Unreadable
from device_drivers.mqtt.topics import topic_of, topics_of
from edge.model import BadCause, Device, Place, Point


def made(momentary: bool = False, low: float | None = None, high: float | None = None, **read: Any) -> Point:
    return Point("p", read=read, momentary=momentary, low=low, high=high)


def value(point: Point, payload: bytes, own_id: str = "z1") -> object:
    path = str(point.read.get("path", ""))
    found = decode.at(decode.body_of(payload), path) if path else decode.text_of(payload)
    return decode.value_of(point, found, own_id)


HEIMAN = b'{"smoke":true,"battery_low":false,"battery":93,"linkquality":87}'
SOS = b'{"action":"emergency","battery":100,"linkquality":120}'
TASMOTA = b'{"Time":"2026-11-21T13:05:00","RfReceived":{"Data":"0x7028D2","Bits":24,"Protocol":1,"Pulse":238}}'


@pytest.mark.parametrize(
    ("point", "payload", "wanted"),
    [
        (made(path="smoke", type="bool"), HEIMAN, True),
        (made(path="battery_low", type="bool"), HEIMAN, False),
        (made(path="battery", type="number", scale=0.5), HEIMAN, 46.5),
        (made(path="tamper", type="bool"), HEIMAN, ABSENT),
        (made(path="smoke.deeper", type="bool"), HEIMAN, ABSENT),
        (made(True, path="action", equals="emergency"), SOS, True),
        (made(True, path="action", equals="emergency"), b'{"action":""}', ABSENT),
        (made(True, path="action", equals="emergency"), b'{"action":null}', ABSENT),
        (made(True, path="action", equals="emergency"), b'{"action":7}', ABSENT),
        (made(True, path="passage", type="text"), b'{"passage":"in"}', "in"),
        (made(True, path="passage", type="text"), b'{"passage":""}', ABSENT),
        (made(path="contact", type="bool", equals=False), b'{"contact":false}', True),
        (made(path="contact", type="bool", equals=False), b'{"contact":true}', False),
        (made(path="contact", type="bool", equals=False), b'{"contact":0}', BadCause.WRONG_TYPE),
        (made(path="s", map={"on": True, "off": False}), b'{"s":"on"}', True),
        (made(path="s", map={"1": True}), b'{"s":1}', True),
        (made(path="s", map={"true": "open"}), b'{"s":true}', "open"),
        (made(path="s", map={"on": True}), b'{"s":"strange"}', BadCause.WRONG_TYPE),
        (made(type="text"), b"forced", "forced"),
        (made(type="number"), b"21.5", 21.5),
        (made(type="number"), b"warm", BadCause.WRONG_TYPE),
        (made(type="bool"), b"true", True),
        (made(path="t", type="number", low=-40, high=85), b'{"t":85}', 85),
        (made(path="t", type="number", low=-40, high=85), b'{"t":85.1}', BadCause.OUT_OF_RANGE),
        (made(path="t", type="number"), b'{"t":NaN}', BadCause.NOT_FINITE),
        (made(path="t", type="number"), b'{"t":-Infinity}', BadCause.NOT_FINITE),
        (made(path="t", type="number"), b'{"t":1e999}', BadCause.NOT_FINITE),
        (made(path="t", type="number", scale=1e308), b'{"t":1e308}', BadCause.NOT_FINITE),
        (made(path="t", type="number"), b'{"t":99999999999999999999999}', BadCause.OUT_OF_RANGE),
        (made(path="t", type="number"), b'{"t":true}', BadCause.WRONG_TYPE),
        (made(path="t", type="number"), b'{"t":"21"}', BadCause.WRONG_TYPE),
        (made(path="t", type="number"), b'{"t":null}', BadCause.WRONG_TYPE),
        (made(path="t", type="bool"), b'{"t":1}', BadCause.WRONG_TYPE),
        (made(path="t", type="text"), b'{"t":[1]}', BadCause.WRONG_TYPE),
        (made(path="t", type="text"), b'{"t":"\\ud800"}', BadCause.WRONG_TYPE),
        (made(path="t", type="text"), b'{"t":"' + b"x" * 300 + b'"}', BadCause.WRONG_TYPE),
    ],
)
def test_values(point: Point, payload: bytes, wanted: object) -> None:
    found = value(point, payload)
    assert found == wanted and type(found) is type(wanted)


def test_a_code_belongs_to_the_button_whose_id_it_begins_with() -> None:
    point = made(True, path="RfReceived.Data", type="text", id_prefix=True)
    assert value(point, TASMOTA, "7028D") is True
    assert value(point, TASMOTA, "7028d") is True
    assert value(point, TASMOTA, "7028E") is ABSENT


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b'{"a":1,"a":2}', b"\xff\xfe", b"[" * 60_000, b'{"a":' * 17 + b"1" + b"}" * 17, b"9" * 5000]
    + [b'{"a":{"b":1,"b":1}}', b"nan", b"{'a':1}", b'{"a":1}x'],
)
def test_bodies_that_make_no_sense(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        decode.body_of(payload)


def test_depth_is_allowed_up_to_the_limit() -> None:
    assert decode.body_of(b"[" * 16 + b"]" * 16)
    with pytest.raises(Unreadable):
        decode.body_of(b"[" * 17 + b"]" * 17)


points = st.builds(
    made,
    st.booleans(),
    path=st.sampled_from(["", "a", "a.b"]),
    type=st.sampled_from(["bool", "number", "text"]),
    scale=st.sampled_from([1.0, 0.1, 1e300]),
)
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(points, st.binary(max_size=60) | bodies.map(lambda body: json.dumps(body).encode()))
def test_nothing_a_device_sends_raises_and_every_value_can_be_stored(point: Point, payload: bytes) -> None:
    try:
        found = value(point, payload)
    except Unreadable:
        return
    if isinstance(found, str) and not isinstance(found, BadCause):
        found.encode()
    if isinstance(found, float):
        assert found == found and abs(found) != float("inf")


@given(st.binary(max_size=60))
def test_availability_never_raises(payload: bytes) -> None:
    assert decode.says_online(payload, "state", "online") in (True, False, None)


def test_availability() -> None:
    assert decode.says_online(b'{"state":"online"}', "state", "online") is True
    assert decode.says_online(b'{"state":"offline"}', "state", "online") is False
    assert decode.says_online(b"offline", "", "online") is False
    assert decode.says_online(b"Online", "", "Online") is True
    assert decode.says_online(b"", "state", "online") is None
    assert decode.says_online(b'{"other":1}', "state", "online") is None
    assert decode.says_online(b"\xff", "", "online") is None


def test_sequence_and_time_of_a_report() -> None:
    wire = {"sequence": "seq", "observed": "time"}
    body = {"seq": 7, "time": "2026-11-21T13:05:00.250Z"}
    at_ms = decode.observed_of(body, wire)
    assert at_ms == 1_795_266_300_250
    assert decode.sequence_of(body, wire, at_ms) == "7@1795266300250"
    assert decode.sequence_of({"seq": "a-1"}, wire, None) == "a-1"
    assert decode.sequence_of({"seq": 7}, wire, None) is None, "the counter of a device that started again"
    for odd in (True, None, 1.5, "", "x" * 99, "a\nb", [1]):
        assert decode.sequence_of({"seq": odd}, wire, None) is None
    for odd in ("yesterday", "2026-11-21T13:05:00", 5, True, 1e12, -1, 10**30, "0001-01-01T00:00:00Z"):
        assert decode.observed_of({"time": odd}, wire) is None
    assert decode.observed_of({"time": 1_795_266_300_250}, wire) == 1_795_266_300_250


def test_topics() -> None:
    assert topic_of("z/a", "") == "z/a"
    assert topic_of("z/a", "availability") == "z/a/availability"
    assert topic_of("tele/rf/7028D", "../RESULT") == "tele/rf/RESULT"
    device = Device("d", "p", "l", "z/+", Place(), (made(),), (), None)
    with pytest.raises(ValueError, match="no topic"):
        topics_of([device])
