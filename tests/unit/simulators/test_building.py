"""The ground truth: what is said, what is recorded, what is noise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.model import PointKey
from simulators.building import Fact, GroundTruth, Health, UnknownName

MakeTruth = Callable[..., GroundTruth]
LEL = PointKey("g1", "lel")
NOW_MS = 1_795_300_000_000


def test_a_change_is_a_fact_and_no_change_is_none(make_truth: MakeTruth) -> None:
    truth, heard = make_truth(), list[Fact]()
    truth.watch(heard.append)
    truth.set(LEL, 12.0, "run-1")
    truth.set(LEL, 12.0)
    assert list(truth.facts) == heard == [Fact(NOW_MS, "g1", "lel", 12.0, "run-1")]


def test_every_press_is_a_fact(make_truth: MakeTruth) -> None:
    truth = make_truth()
    truth.press(PointKey("c1", "call"))
    truth.set(PointKey("c1", "call"), True)
    truth.set(PointKey("a1", "passage"), "out")
    assert [(f.device, f.point, f.value) for f in truth.facts] == [
        ("c1", "call", True),
        ("c1", "call", True),
        ("a1", "passage", "out"),
    ]


def test_noise_is_small_seeded_and_only_at_rest(make_truth: MakeTruth, clock: Callable[[], int]) -> None:
    truth, twin, other = make_truth(seed=1), make_truth(seed=1), make_truth(seed=2)
    fill = PointKey("bin1", "fill_percent")
    assert truth.measured(fill) == twin.measured(fill) != other.measured(fill)
    assert isinstance(noisy := truth.measured(fill), float) and 0 < abs(noisy - 20.0) <= 0.2
    shown = {truth.measured(LEL)}
    for _ in range(20):
        clock.now_ms += 10_000  # type: ignore[attr-defined]
        value = truth.measured(LEL)
        assert isinstance(value, float) and 0.0 <= value <= 0.2
        shown.add(value)
    assert len(shown) > 5
    truth.set(LEL, 25.0)
    assert truth.measured(LEL) == 25.0


def test_calm_puts_all_to_rest_but_leaves_the_horn_to_the_gateway(make_truth: MakeTruth) -> None:
    truth = make_truth()
    truth.set(LEL, 40.0)
    truth.set(PointKey("relay1", "horn"), True)
    truth.set(PointKey("relay1", "gas_valve"), True)
    truth.set_health("s1", Health.DEAD)
    truth.set_link("bus1", False)
    truth.calm()
    assert truth.value(LEL) == 0.0 and truth.health("s1") is Health.WELL and truth.link_up("bus1")
    assert truth.value(PointKey("relay1", "horn")) is True
    assert truth.value(PointKey("relay1", "gas_valve")) is False


@pytest.mark.parametrize("key", [PointKey("nobody", "lel"), PointKey("g1", "nothing")])
def test_unknown_names_are_refused(make_truth: MakeTruth, key: PointKey) -> None:
    with pytest.raises(UnknownName):
        make_truth().set(key, 1.0)
