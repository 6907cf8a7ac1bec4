"""The modem of a building file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.config import check, load_building

Edit = Callable[..., Path]
BY_SMS = ('tell: ["${env:LI_URL}"]', 'tell: ["sms:+8613800138000"]')


def errors(path: Path) -> list[str]:
    return [f.message for f in check(path, "en") if f.severity == "error"]


def test_a_modem_and_somebody_with_a_number(edit: Edit, site: Path) -> None:
    (site.parent / "sim.pin").write_text("1234\n", encoding="utf-8")
    building = load_building(edit(BY_SMS, more='modem: {port: ./dev/modem, pin: "${file:sim.pin}"}\n'))
    assert building.modem is not None
    assert (building.modem.port, building.modem.baudrate) == (str(site.parent / "dev/modem"), 115200)
    assert building.modem.pin == "1234" and "1234" not in repr(building)
    assert building.roster[0].tell == ("sms:+8613800138000",)


def test_a_number_and_no_modem(edit: Edit) -> None:
    assert errors(edit(BY_SMS)) == ["'李四' is to be told by short message, and this gateway has no modem"]


def test_no_number(edit: Edit) -> None:
    assert len(errors(edit((BY_SMS[0], 'tell: ["sms:+86 138"]'), more="modem: {port: ./dev/modem}\n"))) == 1


def test_a_link_of_the_same_name(edit: Edit) -> None:
    changed = edit(("{id: rf,", "{id: modem,"), ("link: rf,", "link: modem,"), more="modem: {port: ./dev/modem}\n")
    assert errors(changed) == ["'modem' is also the name of a link"]
