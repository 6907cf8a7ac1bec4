"""Sparkplug B: golden bytes, the reference protobuf library as decoder, and a host on a real mosquitto."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiomqtt
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge import sparkplug_node
from cloud_bridge.sparkplug import Datatype, Metric, parse_state, payload, wants_rebirth
from cloud_bridge.sparkplug_node import BirthCount, SparkplugNode, SparkplugSettings
from edge import limits
from edge.errors import Garbled
from edge.model import Device, Place, Point, Quality
from edge.mqtt import MqttSession
from tests.unit.bridge.samples import Broker
from tests.unit.bridge.test_duty_room_link import until
from tests.unit.bridge.uplinks import House

FIELDS = descriptor_pb2.FieldDescriptorProto
METRIC = [
    ("name", 1, FIELDS.TYPE_STRING),
    ("alias", 2, FIELDS.TYPE_UINT64),
    ("timestamp", 3, FIELDS.TYPE_UINT64),
    ("datatype", 4, FIELDS.TYPE_UINT32),
    ("is_historical", 5, FIELDS.TYPE_BOOL),
    ("is_null", 7, FIELDS.TYPE_BOOL),
    ("int_value", 10, FIELDS.TYPE_UINT32),
    ("long_value", 11, FIELDS.TYPE_UINT64),
    ("float_value", 12, FIELDS.TYPE_FLOAT),
    ("double_value", 13, FIELDS.TYPE_DOUBLE),
    ("boolean_value", 14, FIELDS.TYPE_BOOL),
    ("string_value", 15, FIELDS.TYPE_STRING),
]
"""From the public sparkplug_b.proto (Eclipse Tahu), proto2."""


def payload_class() -> Any:
    """The reference library's class of the public schema."""
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sparkplug", syntax="proto2")
    top = file.message_type.add(name="Payload")
    inner = top.nested_type.add(name="Metric")
    for name, number, kind in METRIC:
        inner.field.add(name=name, number=number, type=kind, label=FIELDS.LABEL_OPTIONAL)
    top.field.add(name="timestamp", number=1, type=FIELDS.TYPE_UINT64, label=FIELDS.LABEL_OPTIONAL)
    metrics = top.field.add(name="metrics", number=2, type=FIELDS.TYPE_MESSAGE, label=FIELDS.LABEL_REPEATED)
    metrics.type_name = ".sparkplug.Payload.Metric"
    top.field.add(name="seq", number=3, type=FIELDS.TYPE_UINT64, label=FIELDS.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


PAYLOAD = payload_class()


def read(raw: bytes) -> Any:
    message = PAYLOAD()
    message.ParseFromString(raw)
    return message


def rebirth(value: bool = True, name: str = "Node Control/Rebirth") -> bytes:
    message = PAYLOAD(timestamp=1)
    message.metrics.add(name=name, datatype=11, boolean_value=value)
    return bytes(message.SerializeToString())


def test_golden_bytes() -> None:
    assert payload([Metric(Datatype.INT64, 3, "bdSeq")], None, None).hex() == "120b0a0562645365712004" + "5803"
    whole = payload([Metric(Datatype.BOOLEAN, True, None, 300, 1_790_000_000_000)], 1_790_000_000_000, 0)
    assert whole.hex() == "0880d8c1a28c34" + "120e" + "10ac02" + "1880d8c1a28c34" + "200b" + "7001" + "1800"


VALUES = st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.text(max_size=20))


@given(
    st.lists(st.tuples(st.text(max_size=20), VALUES, st.integers(0, 2**40), st.booleans()), max_size=5),
    st.integers(0, 2**50),
    st.integers(0, 255),
)
def test_the_reference_library_reads_what_we_write(rows: list[Any], at_ms: int, seq: int) -> None:
    kinds = {bool: Datatype.BOOLEAN, str: Datatype.STRING}
    metrics = [Metric(kinds.get(type(v), Datatype.DOUBLE), v, n, a, at_ms, h) for n, v, a, h in rows]
    found = read(payload(metrics, at_ms, seq))
    assert (found.timestamp, found.seq, len(found.metrics)) == (at_ms, seq, len(rows))
    for (name, value, alias, historical), metric in zip(rows, found.metrics, strict=True):
        assert (metric.name, metric.alias, metric.is_historical) == (name, alias, historical)
        assert metric.is_null == (value is None)
        fields = {bool: "boolean_value", float: "double_value", str: "string_value"}
        if value is not None:
            assert getattr(metric, fields[type(value)]) == value
    assert found.SerializeToString() == payload(metrics, at_ms, seq), "also byte for byte" if rows else ""


def test_only_a_rebirth_is_obeyed() -> None:
    assert wants_rebirth(rebirth())
    assert not wants_rebirth(rebirth(False)) and not wants_rebirth(rebirth(name="valve"))


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(noise: bytes) -> None:
    for parse in (wants_rebirth, parse_state):
        try:
            parse(noise)
        except Garbled:
            pass


def test_bd_seq_goes_on_after_a_restart_and_wraps(tmp_path: Path) -> None:
    assert [BirthCount(tmp_path / "n").next() for _ in range(258)] == [*range(256), 0, 1]
    (tmp_path / "n").write_text("nonsense")
    assert BirthCount(tmp_path / "n").next() == 0


DEVICES = (
    Device("t1", "x/y", "bus", "1", Place(), (Point("temperature"), Point("press", momentary=True)), (), 60.0),
    Device("s1", "x/y", "radio", "2", Place(), (Point("smoke"),), (), 60.0),
)


def point(ident: str, name: str, value: object, quality: Quality = Quality.GOOD) -> object:
    return SimpleNamespace(device=ident, point=name, value=value, quality=quality, unit=None, age_s=1.0)


@asynccontextmanager
async def host(broker: Broker) -> AsyncIterator[tuple[aiomqtt.Client, list[tuple[str, Any, int, bool]]]]:
    got: list[tuple[str, Any, int, bool]] = []

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            topic = message.topic.value.removeprefix("spBv1.0/grid/")
            if topic.startswith("NCMD"):
                continue
            got.append((topic, read(message.payload), message.qos, bool(message.retain)))

    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("spBv1.0/grid/#", 1)
        task = asyncio.create_task(listen(client))
        yield client, got
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparkplug_node, "SAMPLE_S", 0.05)
    monkeypatch.setattr(limits, "LINK_BACKOFF_S_MIN", 0.05)


def house_of(folder: Path) -> House:
    house = House(folder, DEVICES)
    house.values = [point("t1", "temperature", 21.5), point("t1", "press", "x")]
    house.values.append(point("s1", "smoke", None, Quality.BAD))
    house.states = {"bus": "up", "radio": "up"}
    return house


async def test_birth_data_rebirth_and_death(tmp_path: Path, broker: Broker) -> None:
    house = house_of(tmp_path)
    async with host(broker) as (client, got):
        node = SparkplugNode(SparkplugSettings(broker, "grid", "b12"), house.kit)
        async with house.running(node):
            await until(lambda: len(got) == 3)
            births = {topic: message for topic, message, qos, retain in got if not retain and qos == 0}
            assert list(births) == ["NBIRTH/b12", "DBIRTH/b12/t1", "DBIRTH/b12/s1"]
            assert [message.seq for message in births.values()] == [0, 1, 2]
            names = {m.name: (m.HasField("alias"), m.long_value, m.boolean_value) for m in births["NBIRTH/b12"].metrics}
            assert names == {"bdSeq": (False, 0, False), "Node Control/Rebirth": (False, 0, False)}
            (temperature,) = births["DBIRTH/b12/t1"].metrics
            assert (temperature.name, temperature.double_value) == ("temperature", 21.5)
            assert births["DBIRTH/b12/s1"].metrics[0].is_null
            house.values[0] = point("t1", "temperature", 22.0)
            await until(lambda: len(got) == 4)
            topic, data, _, _ = got[-1]
            assert topic == "DDATA/b12/t1" and data.seq == 3
            assert (data.metrics[0].HasField("name"), data.metrics[0].alias) == (False, temperature.alias)
            # A point that was never known turns out to be a Boolean: births again, with the right type.
            house.values[2] = point("s1", "smoke", True)
            await until(lambda: len(got) == 7)
            assert got[-1][1].metrics[0].datatype == 11 and got[4][1].seq == 0
            await client.publish("spBv1.0/grid/NCMD/b12", b"\xff\xff", 1)
            await client.publish("spBv1.0/grid/NCMD/b12", rebirth(), 1)
            await until(lambda: [topic for topic, *_ in got].count("NBIRTH/b12") == 3)
            assert got[-1][1].metrics[0].long_value == 0 or got[-1][0] != "NBIRTH/b12", "the same life, the same bdSeq"
            house.states["radio"] = "down"
            await until(lambda: got[-1][0] == "DDEATH/b12/s1")
            house.states["radio"] = "up"
            await until(lambda: [topic for topic, *_ in got].count("DBIRTH/b12/s1") == 4)
        await until(lambda: got[-1][0] == "NDEATH/b12")
        _, death, qos, retain = got[-1]
        assert (qos, retain, death.HasField("seq")) == (1, False, False)
        assert (death.metrics[0].name, death.metrics[0].long_value) == ("bdSeq", 0)
    assert house.counts["garbled"] == 1


async def test_the_will_carries_this_lifes_number(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sparkplug.bdseq").write_text("41")
    house = house_of(tmp_path)
    async with host(broker) as (_, got):
        node = SparkplugNode(SparkplugSettings(broker, "grid", "b12"), house.kit)
        sessions: list[Any] = []

        def kept(*args: Any, **more: Any) -> Any:
            sessions.append(MqttSession(*args, **more))
            return sessions[-1]

        monkeypatch.setattr("cloud_bridge.sparkplug_node.MqttSession", kept)
        async with house.running(node):
            await until(lambda: len(got) == 3)
            assert got[0][1].metrics[0].long_value == 42
            # The cable is cut: no farewell.
            sessions[0]._connection._transport.abort()
            await until(lambda: any(topic == "NDEATH/b12" for topic, *_ in got))
            will = next(message for topic, message, *_ in got if topic == "NDEATH/b12")
            assert will.metrics[0].long_value == 42
            await until(lambda: got[-1][0] == "DBIRTH/b12/s1" and len(got) >= 7)
            assert [m.metrics[0].long_value for t, m, *_ in got if t == "NBIRTH/b12"] == [42, 43]


async def test_nothing_is_born_before_the_primary_host(tmp_path: Path, broker: Broker) -> None:
    house = house_of(tmp_path)

    def state(online: bool, at_ms: int) -> str:
        return json.dumps({"online": online, "timestamp": at_ms})

    async with host(broker) as (client, got):
        node = SparkplugNode(SparkplugSettings(broker, "grid", "b12", "scada"), house.kit)
        async with house.running(node):
            await client.publish("spBv1.0/STATE/scada", state(False, 5), 1, True)
            await asyncio.sleep(0.3)
            assert got == [] and not node.connected
            await client.publish("spBv1.0/STATE/scada", state(True, 9), 1, True)
            await until(lambda: len(got) == 3)
            await client.publish("spBv1.0/STATE/scada", state(False, 8), 1, True)
            await asyncio.sleep(0.2)
            assert got[-1][0] != "NDEATH/b12", "an older word of the host does not count"
            await client.publish("spBv1.0/STATE/scada", state(False, 10), 1, True)
            await until(lambda: got[-1][0] == "NDEATH/b12")
            assert "offline" in node.why
