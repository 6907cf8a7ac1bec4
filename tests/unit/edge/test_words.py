"""What a person reads at night must say what, where and how bad, in both languages."""

from __future__ import annotations

import pytest

from edge.model import AlarmClass, Place, Value
from edge.words import CLASS_WORDS, detail_words, message, place_words

HOME = Place("新盛", "12", "1", 3, "301", "厨房")


def test_every_class_has_words() -> None:
    assert set(CLASS_WORDS) == set(AlarmClass)
    assert all(zh and en for zh, en in CLASS_WORDS.values())


def test_place_from_large_to_small() -> None:
    zh, en = place_words(HOME)
    assert zh == "新盛 › 12 号楼 › 1 单元 › 3 层 › 301 户 › 厨房"
    assert en == "新盛, building 12, stair 1, floor 3, flat 301, 厨房"
    assert place_words(Place(floor=-1)) == ("地下 1 层", "basement 1")


@pytest.mark.parametrize(
    ("alarm_class", "value", "unit", "zh", "en"),
    [
        (AlarmClass.LINK_DOWN, 54, None, "线路 bus1，54 个生命安全设备失去保护", "54 life-safety devices unprotected"),
        (AlarmClass.GAS_COMBUSTIBLE, 12.5, "%LEL", "（12.5 %LEL）", "(12.5 %LEL)"),
        (AlarmClass.DEVICE_OFFLINE, None, None, "设备 bus1", "device bus1"),
        (AlarmClass.SOS_CALL, True, None, "一键呼叫。", "Call for help:"),
    ],
)
def test_what_else_a_person_must_know(
    alarm_class: AlarmClass, value: Value | None, unit: str | None, zh: str, en: str
) -> None:
    title, body = message(alarm_class, 1, HOME, 1, "http://x/a/t", detail_words(alarm_class, "bus1", value, unit))
    assert title.startswith("【紧急】") and "301 户" in title
    assert zh in body and en in body and body.endswith("http://x/a/t")


def test_a_second_press_is_said() -> None:
    _, body = message(AlarmClass.SOS_CALL, 1, HOME, 2, None)
    assert "第 2 次" in body and "time 2" in body
