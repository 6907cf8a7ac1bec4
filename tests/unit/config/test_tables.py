"""Tables of devices and people: positions of cells, what Excel does to them, and damaged files."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from edge.config import check, finding_line, load_building
from edge.config.report import Report
from edge.config.tables import read_rows

Edit = Callable[..., Path]
HEAD = "id,profile,link,address,unit,floor,household,room,note\n"
COLUMNS = ("id", "name")


def rows(path: Path) -> list[dict[str, tuple[str, int, int]]]:
    found = read_rows(path, path.name, COLUMNS, COLUMNS, Report("en"))
    return [{k: (v.value, v.line, v.column) for k, v in row.value.items()} for row in found]


def with_table(edit: Edit, name: str) -> Path:
    return edit(("devices: ", f"devices_from: {name}\ndevices: "))


def test_csv_cells_know_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,name\na,"x ""y"", z"\n\nb,"two\nlines"\nc,李四\n', encoding="utf-8")
    assert rows(path) == [
        {"id": ("a", 2, 1), "name": ('x "y", z', 2, 3)},
        {"id": ("b", 4, 1), "name": ("two\nlines", 4, 3)},
        {"id": ("c", 6, 1), "name": ("李四", 6, 3)},
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_as_the_worlds_excels_write_it(tmp_path: Path, separator: str, encoding: str, ending: str) -> None:
    path = tmp_path / "t.csv"
    text = ending.join([separator.join(["id", "name"]), separator.join(["a", "王芳"]), ""])
    path.write_bytes(text.encode(encoding))
    assert rows(path) == [{"id": ("a", 2, 1), "name": ("王芳", 2, 3)}]


def test_devices_of_a_csv_join_those_of_the_file(edit: Edit, site: Path) -> None:
    table = (
        HEAD + "s302,example/smoke-modbus,bus1,32,1,3,302,厨房,\nc1,rf433/call-button,rf,00123,2,5,501,,by the bed\n"
    )
    (site.parent / "devices.csv").write_text(table, encoding="utf-8")
    devices = load_building(with_table(edit, "devices.csv")).devices
    assert [d.id for d in devices] == ["s301", "g301", "z1", "c502", "s302", "c1"]
    assert (devices[4].place.floor, devices[4].place.room, devices[5].address) == (3, "厨房", "00123")


def test_faults_of_a_csv_stand_at_their_cells(edit: Edit, site: Path) -> None:
    table = HEAD + "s301,example/smoke-modbus,bus1,31,1,3,301,,\nx,example/smoke,bus1,400,9,three,,,\n"
    (site.parent / "devices.csv").write_text(table, encoding="utf-8")
    found = [f for f in check(with_table(edit, "devices.csv"), "en") if f.file.endswith(".csv")]
    assert [(f.line, f.column, f.code) for f in found] == [
        (2, 1, "duplicate-id"), (2, 32, "duplicate-address"), (3, 3, "unknown-profile"),
        (3, 22, "bad-value"), (3, 28, "wrong-type"),
    ]  # fmt: skip


def test_faults_of_a_sheet_are_named_by_cell(edit: Edit, site: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "设备"
    sheet.append(HEAD.strip().split(","))
    for n in range(2, 12):
        sheet.append([f"t{n}", "example/smoke-modbus", "bus1", 100 + n, "1", 3, None, None, None])
    sheet["D7"] = 999
    sheet["D11"] = 0
    sheet["F4"] = 30
    book.save(site.parent / "devices.xlsx")
    found = [f for f in check(with_table(edit, "devices.xlsx"), "en") if "xlsx" in f.file]
    name = str(site.parent / "devices.xlsx")
    assert [(f.file, f.line, f.column) for f in found] == [
        (f"{name}!设备!F4", 4, 6), (f"{name}!设备!D7", 7, 4), (f"{name}!设备!D11", 11, 4),
    ]  # fmt: skip
    assert finding_line(found[0]).startswith(f"{name}!设备!F4: error: the site has no floor 30")


def test_numbers_of_a_sheet_are_the_texts_people_meant(edit: Edit, site: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["ID", "Profile", "link", "address", "unit", "floor", "household"])
    sheet.append(["n1", "example/smoke-modbus", "bus1", 40.0, 1, 4.0, 401])
    book.save(site.parent / "devices.xlsx")
    device = load_building(with_table(edit, "devices.xlsx")).devices[-1]
    assert (device.address, device.place.unit, device.place.floor, device.place.household) == ("40", "1", 4, "401")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b""),
        ("t.csv", b'id,profile,link,address\n"a'),
        ("t.csv", b"id,profile,link,address\na\0b"),
        ("t.csv", random.Random(3).randbytes(4000)),
        ("t.csv", b"id,name\n" + b"a,b\n" * 2_000_000),
        ("t.xlsx", b""),
        ("t.xlsx", random.Random(4).randbytes(4000)),
        ("t.xlsx", b"PK\x03\x04" + b"\0" * 100),
        ("t.ods", b""),
    ],
)
def test_damaged_tables_are_one_clean_finding(edit: Edit, site: Path, name: str, content: bytes) -> None:
    (site.parent / name).write_bytes(content)
    found = [f for f in check(with_table(edit, name), "en") if name in f.file]
    assert found and all(f.severity == "error" and f.remedy for f in found)


def test_a_sheet_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (70 * 1024 * 1024))
    found = check(path, "en")
    assert len(found) == 1 and "unpacked" in found[0].message


def test_a_missing_table_is_a_finding(edit: Edit) -> None:
    assert any("nowhere.csv" in f.file for f in check(with_table(edit, "nowhere.csv"), "en"))


def test_a_table_can_be_checked_alone(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text(HEAD + "a,x/y,bus1,1,,,,,\na,x/y,bus1,2,,,,,\n", encoding="utf-8")
    assert [f.code for f in check(path)] == ["duplicate-id"]
    path.write_text("id,profil,link,address\n", encoding="utf-8")
    assert {f.code for f in check(path, "en")} == {"unknown-key", "missing-key"}
