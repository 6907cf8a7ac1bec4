"""Short messages as bytes: golden ones of the standard, and every length of text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.channels.pdu import BadPdu, Received, Report, parse, split, submits

GOLDEN = "0011000D91683108108300F00008A7140033680B003100320030003470DF611F62A58B66"


def test_the_golden_message() -> None:
    (part,) = submits("+8613800138000", "3栋1204烟感报警", 1, report=False)
    assert (part.hex, part.octets) == (GOLDEN, 35)


def test_a_report_is_asked_for_in_the_first_octet() -> None:
    (part,) = submits("+8613800138000", "3栋1204烟感报警", 1, report=True)
    assert part.hex == GOLDEN.replace("0011", "0031", 1)


def test_a_long_text_goes_in_parts_that_belong_together() -> None:
    parts = submits("10086", "长" * 140, 0x2A, report=False)
    assert len(parts) == 3
    assert [bytes.fromhex(part.hex)[1] for part in parts] == [0x51] * 3
    headers = [part.hex[part.hex.index("0500032A") :][:12] for part in parts]
    assert headers == ["0500032A0301", "0500032A0302", "0500032A0303"]


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=500))
def test_no_part_is_too_long_and_nothing_is_lost(text: str) -> None:
    parts = split(text)
    assert "".join(parts) == text or len(parts) == 8
    limit = 70 if len(parts) == 1 else 67
    assert all(len(part.encode("utf-16-be")) <= 2 * limit for part in parts)


@pytest.mark.parametrize("number", ["", "12a", "+86 138", "1" * 21])
def test_no_number(number: str) -> None:
    with pytest.raises(BadPdu):
        submits(number, "x", 1, report=False)


def test_a_received_message_of_seven_bits() -> None:
    """The worked example of many handbooks."""
    assert parse("07917238010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37") == Received(
        "27838890001", "hellohello"
    )


def test_a_received_message_of_ucs2() -> None:
    text = "1234 好".encode("utf-16-be")
    pdu = "00040D91683108108300F0000862112202140023" + f"{len(text):02X}" + text.hex()
    assert parse(pdu) == Received("+8613800138000", "1234 好")


def test_a_part_of_a_long_received_message_keeps_its_text() -> None:
    text = bytes.fromhex("050003070201") + "好的".encode("utf-16-be")
    pdu = "00440D91683108108300F0000862112202140023" + f"{len(text):02X}" + text.hex()
    assert parse(pdu) == Received("+8613800138000", "好的")


def test_a_name_instead_of_a_number() -> None:
    received = parse("000407D0C2B07B0D0000621122021400230131")
    assert received == Received("Bank", "1")


def test_a_delivery_report() -> None:
    pdu = "0006" + "2A" + "0D91683108108300F0" + "62112202140023" + "62112202150023" + "00"
    report = parse(pdu)
    assert report == Report(0x2A, "+8613800138000", 0) and report.arrived and report.final
    waiting = parse(pdu[:-2] + "30")
    assert isinstance(waiting, Report) and not waiting.arrived and not waiting.final
    failed = parse(pdu[:-2] + "41")
    assert isinstance(failed, Report) and failed.final and not failed.arrived


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_worse(raw: bytes) -> None:
    try:
        parse(raw.hex())
    except BadPdu:
        return
