"""What Prometheus gets: our figures, in its format, and rules about names that are really there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from duty_room.metrics import Metrics
from edge.decide.rates import COUNTERS, FIGURES, Rates
from edge.web.metrics import Scrape
from edge.web.view import Figures
from tests.unit.bridge.samples import event
from tests.unit.web.test_web import Gateway

RULES = Path("configs/prometheus/alerts.yaml")
NEED = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here: apt install prometheus")


class Shown(Gateway):
    """A gateway with figures of a flood."""

    def figures(self) -> Figures:
        rates = Rates(0.0)
        rates.note([event(n) for n in range(12)], 5.0)
        found = rates.figures((), 6.0, 0)
        return Figures(
            events_committed=12,
            outbox_rows=0,
            gauges=[(name, words, float(getattr(found, key))) for key, (name, words) in FIGURES.items()],
            counters=[(name, words, float(getattr(found, key))) for key, (name, words) in COUNTERS.items()],
            uplinks={"city": True, "dc09": False},
        )


def page() -> str:
    return Scrape(Shown()).text().decode()


def room() -> Metrics:
    metrics = Metrics(lambda: 7.0)
    for n in range(12):
        metrics.took("b12", event(n))
    return metrics


def test_the_gateway_shows_the_figures() -> None:
    text = page()
    for line in (
        "linli_alarm_rate 12.0",
        "linli_alarm_flood 1.0",
        "linli_alarm_rings_total 12.0",
        "linli_alarms_chattering 1.0",
        'linli_uplink_up{uplink="dc09"} 0.0',
    ):
        assert line in text.splitlines(), text


def test_the_duty_room_shows_what_all_gateways_ask_of_its_people() -> None:
    text = room().page().decode().splitlines()
    assert "linli_alarm_rate 12.0" in text and "linli_alarm_flood 1.0" in text
    assert 'linli_events_committed_total{gateway="b12"} 12.0' in text


def test_every_rule_is_about_a_figure_that_is_there() -> None:
    rules = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"\blinli_\w+", rule["expr"])}
    shown = set(re.findall(r"^# TYPE (\w+)", page() + room().page().decode(), re.M))
    families = {re.sub(r"_bucket$", "", name) for name in asked}
    assert families <= shown, families - shown


@NEED
def test_promtool_takes_the_rules_and_they_fire_when_they_should() -> None:
    folder = RULES.parent
    for arguments in (["check", "rules", RULES.name], ["test", "rules", "alerts.test.yaml"]):
        done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@NEED
@pytest.mark.parametrize("text", [page(), room().page().decode()], ids=["gateway", "duty room"])
def test_promtool_takes_the_pages(text: str) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("linli_")]
    assert done.returncode in (0, 3) and not ours, ours
