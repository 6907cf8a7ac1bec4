"""Bytes → tree: YAML 1.2, positions, and a clean finding for whatever else comes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from edge.config import check
from edge.config.document import FILE_BYTES_MAX, Tree, parse_yaml, scalar_value
from edge.config.report import Report


def parse(text: str) -> Tree:
    report = Report("en")
    tree = parse_yaml(text.encode(), "f.yaml", report)
    assert tree is not None, report.findings
    return tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("Yes", "Yes"), ("N", "N"), ("true", True), ("False", False), ("~", None),
        ("", None),
        ("12", 12), ("-3", -3), ("0x1F", 31), ("0o17", 15), ("017", 17), ("1_000", "1_000"), ("12:30", "12:30"),
        ("1.5", 1.5), ("1e3", 1000.0), (".inf", float("inf")), ("-.Inf", float("-inf")), ("2026-01-01", "2026-01-01"),
        ("A1B2C", "A1B2C"), ("9" * 5000, "9" * 5000), ("<<", "<<"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    assert scalar_value(text) == value
    assert parse(f"a: {text}").plain() == {"a": value}


def test_quotes_make_text_and_tags_of_the_core_are_kept() -> None:
    assert parse('{a: "12", b: \'true\', c: !!str 12, d: "yes\\n"}').plain() == {
        "a": "12", "b": "true", "c": "12", "d": "yes\n",
    }  # fmt: skip


def test_every_key_and_value_knows_where_it_stands() -> None:
    tree = parse("site:\n  名: 新盛\n  units: [a, {b: c}]\n")
    name = tree.near("site", "名")
    assert (name.line, name.column, name.value) == (2, 6, "新盛")
    assert tree.near("site").keys == {"名": (2, 3), "units": (3, 3)}
    inner = tree.near("site", "units", 1, "b")
    assert (inner.line, inner.column) == (3, 18)
    assert tree.get("site", "units", 7) is None and tree.near("site", "units", 7).line == 3


def test_a_byte_order_mark_moves_no_column() -> None:
    report = Report("en")
    tree = parse_yaml(b"\xef\xbb\xbfa: 1\n", "f.yaml", report)
    assert tree is not None and tree.keys == {"a": (1, 1)}


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "null byte": b"a: \x00\n",
    "gb18030": "gateway: 新盛".encode("gb18030"),
    "utf-16": "gateway: 新盛".encode("utf-16"),
    "binary": random.Random(1).randbytes(20_000),
    "ten megabytes": b"a: b\n" * 2_000_000,
    "deep lists": b"[" * 20_000,
    "deep mappings": b"a: " + b"{a: " * 5_000,
    "deep blocks": b"\n".join(b" " * i + b"a:" for i in range(900)),
    "alias bomb": b"a: &a [" + b"x," * 50 + b"]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 50)) for i in range(6)),
    "a list that holds itself": b"a: &a [*a]\n",
    "two documents": b"a: 1\n---\nb: 2\n",
    "a tag that builds objects": b"gateway: !!python/object/apply:os.system [ls]\n",
    "a tag of one's own": b"gateway: !mine x\n",
    "a list as key": b"? [a]\n: b\n",
    "a key twice": b"a: 1\na: 2\n",
    "an unknown alias": b"a: *nowhere\n",
    "tabs": b"a:\n\t- b\n",
    "an open quote": b'a: "b\n',
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_end_in_one_clean_finding(name: str, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(HOSTILE[name])
    findings = check(path, "en")
    assert [f.code for f in findings] == ["yaml-syntax"]
    assert findings[0].line >= 1 and findings[0].column >= 1 and findings[0].remedy


def test_the_byte_that_is_no_utf_8_is_named() -> None:
    report = Report("en")
    assert parse_yaml("a: 1\nb: 新".encode() + b"\xff", "f.yaml", report) is None
    assert [(f.line, f.column) for f in report.findings] == [(2, 5)]


def test_a_file_just_too_large_is_refused_unread() -> None:
    report = Report("en")
    assert parse_yaml(b"#" * (FILE_BYTES_MAX + 1), "f.yaml", report) is None
    assert "bytes" in report.findings[0].message


@pytest.mark.parametrize("content", [b"- 1\n", b"hello", b"gateway:\nsite:\nlinks:\ndevices:\n"])
def test_other_shapes_are_findings_too(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    assert {f.severity for f in check(path)} == {"error"}


def test_every_section_may_be_of_any_type(tmp_path: Path) -> None:
    names = "gateway site links devices devices_from profiles rules sounders linkages roster duty_room uplinks".split()
    path = tmp_path / "f.yaml"
    for value in ("3", "x", "[]", "[1]", "[[]]", "{}", "{a: 1}", "{a: {b: 1}}", "null", "[null]", "[{id: 3}]", "true"):
        path.write_text("\n".join(f"{name}: {value}" for name in names), encoding="utf-8")
        assert any(f.severity == "error" for f in check(path))


def test_any_damage_to_the_minimal_file_is_survived(tmp_path: Path) -> None:
    base = Path("configs/minimal.yaml").read_bytes()
    dice = random.Random(7)
    path = tmp_path / "m.yaml"
    for _ in range(150):
        data = bytearray(base)
        for _ in range(dice.randint(1, 5)):
            at, choice = dice.randrange(len(data)), dice.random()
            if choice < 0.4:
                data[at] = dice.randrange(256)
            elif choice < 0.7:
                del data[at : at + dice.randint(1, 20)]
            else:
                data[at:at] = dice.choice([b"{", b"[", b"]", b"null", b"- ", b"\n", b"\t", b"1e999", b".nan", b"*a"])
        path.write_bytes(data)
        check(path)
