"""MQTT packets: bytes worked by hand from the standard, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.mqtt import packets
from edge.mqtt.packets import Ack, ConnAck, Control, Hello, Malformed, Packet, Parser, Publish

HELLO = Hello("gw", "u", "p", ("s", b"x", 1, True), 20, 86400, 512)


def read(data: bytes, mqtt5: bool = True) -> list[Packet]:
    return list(Parser(mqtt5=mqtt5).feed(data))


def test_connect_5_as_worked_by_hand() -> None:
    assert packets.connect(HELLO, mqtt5=True) == bytes.fromhex(
        "10 29 0004 4d515454 05 ec 0014"  # name, version 5, user+password+retain+qos 1+will, clean start off, 20 s
        "0d 11 00015180 21 0200 27 00400000"  # session expiry a day, receive maximum 512, packets up to 4 MiB
        "0002 6777 00 0001 73 0001 78 0001 75 0001 70"  # id gw, will properties, will topic s, payload x, user u, p
    )


def test_connect_3_1_1_as_worked_by_hand() -> None:
    plain = Hello("gw", None, None, None, 20, 0, 0)
    assert packets.connect(plain, mqtt5=False) == bytes.fromhex("10 0e 0004 4d515454 04 00 0014 0002 6777")


def test_what_else_we_say() -> None:
    assert packets.subscribe(7, [("a/b", 1)], mqtt5=True) == bytes.fromhex("82 09 0007 00 0003 612f62 01")
    assert packets.subscribe(7, [("a/b", 1)], mqtt5=False) == bytes.fromhex("82 08 0007 0003 612f62 01")
    assert packets.publish("a", b"hi", 1, True, 9, mqtt5=True) == bytes.fromhex("33 08 0001 61 0009 00 6869")
    assert packets.publish("a", b"hi", 0, False, 0, mqtt5=False) == bytes.fromhex("30 05 0001 61 6869")
    assert packets.puback(0x1234) == bytes.fromhex("40 02 1234")


@pytest.mark.parametrize(
    ("hexed", "mqtt5", "packet"),
    [
        ("20 03 01 00 00", True, ConnAck(True, 0, None)),
        ("20 06 00 00 03 21 0014", True, ConnAck(False, 0, 20)),
        ("20 0b 00 00 08 1f 0002 6f6b 21 0014", True, ConnAck(False, 0, 20)),
        ("20 02 00 05", False, ConnAck(False, 0x87, None)),
        ("20 02 00 01", True, ConnAck(False, 0x84, None)),
        ("3b 08 0001 61 0009 00 6869", True, Publish("a", b"hi", 1, True, True, 9)),
        ("30 0b 0001 61 05 02 0000003c 6869", True, Publish("a", b"hi", 0, False, False, 0)),
        ("30 05 0001 ff 6869", False, Publish(None, b"hi", 0, False, False, 0)),
        ("40 02 0009", True, Ack(packets.PUBACK, 9, (0,))),
        ("40 03 0009 87", True, Ack(packets.PUBACK, 9, (0x87,))),
        ("90 05 0007 00 01 87", True, Ack(packets.SUBACK, 7, (1, 0x87))),
        ("90 03 0007 80", False, Ack(packets.SUBACK, 7, (0x80,))),
        ("d0 00", True, Control(packets.PINGRESP, 0)),
        ("e0 01 8e", True, Control(packets.DISCONNECT, 0x8E)),
    ],
)
def test_what_a_broker_says(hexed: str, mqtt5: bool, packet: Packet) -> None:
    assert read(bytes.fromhex(hexed), mqtt5) == [packet]


@pytest.mark.parametrize(
    "hexed",
    [
        "34 07 0001 61 0009 6869",  # QoS 2 was never asked for
        "32 05 0001 61 0000",  # packet id 0
        "30 03 0009 61",  # the topic is longer than its packet
        "30 ff ff ff ff 01",  # a length of five bytes
        "30 ff ff ff 7f",  # 256 MB
        "10 00",  # CONNECT is ours to say
        "d0 01 00",  # an answer to a ping carries nothing
    ],
)
def test_what_mqtt_does_not_allow(hexed: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(hexed))


def test_long_packets_and_their_pieces() -> None:
    payload = bytes(range(256)) * 300
    wire = packets.publish("a/b", payload, 1, False, 5, mqtt5=True) + packets.puback(7)
    parser = Parser(mqtt5=True)
    found = [packet for at in range(0, len(wire), 1000) for packet in parser.feed(wire[at : at + 1000])]
    assert found == [Publish("a/b", payload, 1, False, False, 5), Ack(packets.PUBACK, 7, (0,))]


def test_a_stream_closed_early_keeps_the_rest() -> None:
    parser = Parser(mqtt5=True)
    stream = parser.feed(packets.puback(1) + packets.puback(2))
    assert next(stream) == Ack(packets.PUBACK, 1, (0,))
    stream.close()
    assert list(parser.feed(packets.puback(3))) == [Ack(packets.PUBACK, 2, (0,)), Ack(packets.PUBACK, 3, (0,))]


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
def test_any_bytes_are_packets_or_malformed(chunks: list[bytes], mqtt5: bool) -> None:
    parser = Parser(mqtt5=mqtt5)
    try:
        for chunk in chunks:
            for packet in parser.feed(chunk):
                assert isinstance(packet, ConnAck | Publish | Ack | Control)
    except Malformed:
        return


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=300)), max_size=6), st.integers(1, 50))
def test_cutting_changes_nothing(messages: list[tuple[str, bytes]], size: int) -> None:
    wire = b"".join(packets.publish(t, p, 1, False, n + 1, mqtt5=True) for n, (t, p) in enumerate(messages))
    parser = Parser(mqtt5=True)
    found = [packet for at in range(0, len(wire), size) for packet in parser.feed(wire[at : at + size])]
    assert [(p.topic, p.payload, p.mid) for p in found if isinstance(p, Publish)] == [
        (topic, payload, number + 1) for number, (topic, payload) in enumerate(messages)
    ]
