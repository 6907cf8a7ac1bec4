"""Links beside Modbus and MQTT in a building file: what loads, what their drivers get, what is refused where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from device_drivers import registry
from edge.clock import SystemClock
from edge.config import check, load_building
from edge.doctor import examine
from edge.ports import Kit

Edit = Callable[..., Path]
LINKS = """\
  - {id: fire, kind: gbt26875-server, listen: 127.0.0.1:0}
  - {id: ward, kind: espa444, port: ./dev/ward, role: control, panel: "3", silent_s: 90}
  - {id: power, kind: dlt645, port: ./dev/power}
  - {id: water, kind: cjt188, tcp: 127.0.0.1:4001, timeout_s: 2}
  - {id: doors, kind: osdp, port: ./dev/doors, key: "${file:osdp.key}"}
  - {id: old, kind: wiegand-text, port: ./dev/old, format: hex}
"""
DEVICES = """\
  - {id: tx, profile: gbt26875/transmitter, link: fire, address: 510109000001, place: {text: a}}
  - {id: k1, profile: gbt26875/smoke, link: fire, address: 510109000001/01.1/01204, place: {text: a}}
  - {id: n1, profile: espa444/nurse-call, link: ward, address: "*", place: {text: a}}
  - {id: e1, profile: dlt645/electricity-meter, link: power, address: 12345}
  - {id: w1, profile: cjt188/water-meter, link: water, address: 12345678}
  - {id: r1, profile: osdp/reader, link: doors, address: 3}
  - {id: r2, profile: wiegand/reader, link: old, address: 1}
"""


@pytest.fixture
def whole(edit: Edit, site: Path) -> Path:
    """The minimal building with every other kind of link."""
    (site.parent / "osdp.key").write_text("00112233445566778899AABBCCDDEEFF\n")
    return edit(("devices:  ", LINKS + "devices:  "), ("roster:", DEVICES + "roster:"))


def test_every_kind_of_link_loads_and_has_a_driver(whole: Path) -> None:
    building = load_building(whole)
    options = {link.id: link.options for link in building.links}
    assert (options["fire"]["host"], options["fire"]["port"]) == ("127.0.0.1", 0)
    assert options["ward"]["port"] == str(whole.parent / "dev" / "ward")
    assert (options["ward"]["role"], options["ward"]["panel"], options["ward"]["silent_s"]) == ("control", "3", 90)
    assert (options["power"]["baudrate"], options["power"]["parity"]) == (2400, "E")
    assert (options["water"]["tcp"], options["water"]["port"], options["water"]["timeout_s"]) == (
        "127.0.0.1:4001", None, 2,
    )  # fmt: skip
    assert "0011" not in str(options["doors"]["key"]), "a secret is never printed"
    addresses = {d.id: d.address for d in building.devices}
    assert addresses["tx"] == "510109000001" and addresses["k1"] == "510109000001/1.1/1204"
    assert (addresses["e1"], addresses["w1"]) == ("000000012345", "00000012345678")
    kit = Kit(SystemClock(), lambda cause: None, "")
    for link in building.links:
        registry.create(link, [d for d in building.devices if d.link == link.id], kit)


def test_what_the_panel_watches_is_not_called_unwatched(whole: Path) -> None:
    unwatched = {f.message for f in check(whole, "en") if f.code == "unwatched-device"}
    assert not any("gbt26875" in message for message in unwatched)
    assert any("espa444/nurse-call" in message for message in unwatched)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("/01.1/01204", "/1/1204", "bad-value", "SOURCE/SYSTEM.NUMBER"),
        ("address: 510109000001,", "address: 999999999999999,", "bad-value", "not an address behind a fire"),
        ('address: "*"', 'address: "two words"', "bad-value", "call address"),
        ("address: 12345}", "address: 1234567890123}", "bad-value", "electricity meter"),
        ("address: 12345678", "address: 12A", "bad-value", "number of a meter"),
        ("link: doors, address: 3", "link: doors, address: 127", "bad-value", "OSDP address"),
        ("port: ./dev/ward,", "port: ./dev/ward, tcp: 127.0.0.1:1,", "bad-value", "exactly one of"),
        ("tcp: 127.0.0.1:4001,", "", "bad-value", "exactly one of"),
        ("tcp: 127.0.0.1:4001", "tcp: 127.0.0.1:99999", "bad-value", "above 65535"),
        ("port: ./dev/power", "port: ./dev/doors", "duplicate-address", "already belongs to link"),
        ('key: "${file:osdp.key}"', "key: abc", "bad-secret", "stands in the file"),
        ("role: control", "role: slave", "bad-value", "not known here"),
        ("kind: espa444", "kind: espa", "bad-value", "espa444"),
        ("link: power,", "link: water,", "bad-value", "speaks dlt645"),
    ],
)
def test_a_mistake_is_found_where_it_stands(whole: Path, old: str, new: str, code: str, words: str) -> None:
    text = whole.read_text(encoding="utf-8")
    assert old in text
    whole.write_text(text.replace(old, new, 1), encoding="utf-8")
    line = text[: text.index(old)].count("\n") + 1
    errors = [f for f in check(whole, "en") if f.severity == "error"]
    assert any(f.code == code and words in f.message + f.remedy for f in errors), errors
    assert line in {f.line for f in errors} or code == "duplicate-address"


def test_a_key_that_is_no_key_is_found(whole: Path) -> None:
    (whole.parent / "osdp.key").write_text("12345")
    assert [f.code for f in check(whole, "en") if f.severity == "error"] == ["bad-secret"]


def test_doctor_looks_at_every_kind_of_link(whole: Path) -> None:
    rows = {row["what"].split(":")[0].split(" cannot")[0].split(" can")[0]: row for row in examine(whole)}
    assert rows["link fire"]["result"] == "ok"
    for link in ("ward", "power", "water", "doors", "old"):
        assert rows[f"link {link}"]["result"] == "fault"
