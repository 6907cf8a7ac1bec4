"""The gateway's HTTP door, asked over ASGI: token, verbs, figures, the local person's page."""

from __future__ import annotations

import math
import re
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_bridge.messages import EventMessage
from edge.decide.alarms import Alarm, fold
from edge.errors import NotDurable
from edge.model import (
    AlarmClass,
    AlarmEvent,
    AlarmState,
    BadCause,
    Clock,
    Command,
    CommandKind,
    CommandOutcome,
    Condition,
    Delivered,
    Device,
    EventKind,
    Outcome,
    Person,
    Place,
    Point,
    Quality,
    Recipient,
    Result,
    Rule,
    RuleKind,
    Value,
    Via,
    Write,
)
from edge.web import (
    Durations,
    Figures,
    LocalPage,
    create_app,
    load_or_create_secret,
    load_or_create_token,
    person_token,
)

TOKEN = "t" * 43
NOW_MS = 1_790_000_000_123
AUTH = {"Authorization": f"Bearer {TOKEN}"}
PLACE = Place("新盛", "12", "1", 3, "301")
LI = Recipient("li", "李四<b>", "grid_worker", ())


def event(**changes: Any) -> AlarmEvent:
    raised = AlarmEvent(
        event_id="e1",
        alarm_id="b12-s301-fire.smoke-1",
        kind=EventKind.RAISED,
        alarm_class=AlarmClass.FIRE_SMOKE,
        priority=1,
        state=AlarmState.UNACK,
        condition=Condition.ON,
        device="s301",
        point="smoke",
        place=PLACE,
        value=True,
        unit=None,
        observed_ms=None,
        received_ms=NOW_MS,
        clock=Clock.SYNCED,
        seq=7,
    )
    return replace(raised, **changes)


@dataclass(frozen=True)
class Shown:
    device: str
    point: str
    value: Value | None
    unit: str | None
    quality: Quality
    cause: BadCause | None
    observed_ms: int | None
    age_s: float | None


@dataclass
class Gateway:
    """A gateway that answers from lists."""

    open: list[Alarm] = field(default_factory=lambda: [fold(None, event())])
    said: list[Command] = field(default_factory=list)
    answer: tuple[Result, str] = (Result.DONE, "acknowledged")
    state: dict[str, str] = field(default_factory=lambda: {"journal": "ok", "broker": "ok"})
    durable: bool = True
    written: list[Write] = field(default_factory=list)
    outcome: Outcome = Delivered("read back")

    def now_ms(self) -> int:
        return NOW_MS

    def points(self) -> Sequence[Shown]:
        return [
            Shown("g301", "lel", 3.5, "%LEL", Quality.GOOD, None, NOW_MS, 1.23456),
            Shown("s301", "smoke", None, None, Quality.BAD, BadCause.TIMEOUT, None, None),
        ]

    def alarms(self) -> Sequence[Alarm]:
        return self.open

    def links(self) -> Mapping[str, str]:
        return {"bus1": "up", "zigbee": "down"}

    def devices(self) -> Sequence[Device]:
        rule = Rule("smoke", "smoke", AlarmClass.FIRE_SMOKE, RuleKind.STATE)
        wire = {"points": {"smoke": {"secret": 1}}}
        return [Device("s301", "example/smoke", "bus1", "31", PLACE, (Point("smoke"),), (rule,), 60.0, wire, "smoke")]

    async def command(self, command: Command) -> CommandOutcome:
        if not self.durable:
            raise NotDurable("disk full")
        self.said.append(command)
        result, code = self.answer
        return CommandOutcome(command.command_id, result, code, f"text of {code}", NOW_MS)

    async def set_point(self, write: Write) -> Outcome:
        self.written.append(write)
        return self.outcome

    def checks(self) -> Mapping[str, str]:
        return self.state

    def figures(self) -> Figures:
        times = Durations((0.001, 0.01))
        for seconds in (0.0005, 0.001, 0.5):
            times.observe(seconds)
        return Figures(5, 2, {"readings": 3}, {("mqtt", "garbled"): 4}, times.buckets, times.sum_s)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def web(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(gateway, TOKEN, LocalPage("secret", (LI,)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gw") as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/api/v1/points", "/api/v1/alarms", "/api/v1/links", "/api/v1/devices", "/openapi.json", "/docs", "/x"]
)
@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", ""])
async def test_all_but_the_open_paths_needs_the_token(web: httpx.AsyncClient, path: str, given: str | None) -> None:
    answer = await web.get(path, headers={} if given is None else {"Authorization": given})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthorized"


async def test_open_paths(web: httpx.AsyncClient, gateway: Gateway) -> None:
    assert (await web.get("/healthz")).status_code == 200
    assert (await web.get("/readyz")).json() == {"ready": True, "checks": {"journal": "ok", "broker": "ok"}}
    gateway.state["journal"] = "disk full"
    answer = await web.get("/readyz")
    assert answer.status_code == 503 and answer.json()["checks"]["journal"] == "disk full"


async def test_points_links_and_devices(web: httpx.AsyncClient) -> None:
    points = (await web.get("/api/v1/points", headers=AUTH)).json()
    assert points[0] == {
        "id": "g301/lel",
        "device": "g301",
        "value": 3.5,
        "unit": "%LEL",
        "quality": "good",
        "cause": None,
        "observed_at": "2026-09-21T14:13:20.123Z",
        "age_s": 1.235,
    }
    assert (points[1]["value"], points[1]["quality"], points[1]["cause"]) == (None, "bad", "timeout")
    links = (await web.get("/api/v1/links", headers=AUTH)).json()
    assert links == [{"id": "bus1", "state": "up"}, {"id": "zigbee", "state": "down"}]
    (device,) = (await web.get("/api/v1/devices", headers=AUTH)).json()
    assert device["life_safety"] is True and device["place"]["household"] == "301" and "wire" not in device


async def test_an_alarm_has_every_field_of_event_and_repeats(web: httpx.AsyncClient, gateway: Gateway) -> None:
    again = event(event_id="e2", kind=EventKind.REPEATED, seq=8)
    gateway.open = [fold(gateway.open[0], again)]
    (alarm,) = (await web.get("/api/v1/alarms", headers=AUTH)).json()
    wire = EventMessage.of(again).model_dump(mode="json", by_alias=True)
    for name in wire.keys() - {"v", "replay"}:
        assert alarm[name] == wire[name], name
    assert alarm["repeats"] == 1 and alarm["acknowledged"] is None


@pytest.mark.parametrize("verb", ["acknowledge", "silence", "reset"])
async def test_a_verb_reaches_the_one_door(web: httpx.AsyncClient, gateway: Gateway, verb: str) -> None:
    body = {"by": {"id": "li", "name": "李四", "via": "local"}, "reason": "on site"}
    answer = await web.post(f"/api/v1/alarms/a1/{verb}", json=body, headers=AUTH)
    assert answer.status_code == 200 and answer.json()["result"] == "done"
    (command,) = gateway.said
    assert command.kind is CommandKind(verb) and command.alarm_id == "a1"
    assert command.by == Person("li", "李四", Via.LOCAL) and command.reason == "on site"


async def test_a_plain_name_is_a_person(web: httpx.AsyncClient, gateway: Gateway) -> None:
    await web.post("/api/v1/alarms/a1/acknowledge", json={"by": " 李四 "}, headers=AUTH)
    assert gateway.said[0].by == Person("李四", "李四", Via.API)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"by": ""}', b'{"by": {"id": "x"}}', b'{"by": 7}', b"nonsense", b'{"by": "x", "reason": 7}']
    + [b'{"by": "' + b"x" * 200 + b'"}', b'{"by": {"id": "x", "name": "x", "via": "ghost"}}', b"\xff\xfe"],
)
async def test_a_body_that_does_not_fit_is_422(web: httpx.AsyncClient, gateway: Gateway, body: bytes) -> None:
    answer = await web.post(
        "/api/v1/alarms/a1/acknowledge", content=body, headers={**AUTH, "Content-Type": "application/json"}
    )
    assert answer.status_code == 422 and answer.json()["code"] == "body"
    assert gateway.said == []


async def test_unknown_verbs_and_paths(web: httpx.AsyncClient) -> None:
    assert (await web.post("/api/v1/alarms/a1/shelve", json={"by": "x"}, headers=AUTH)).status_code == 422
    assert (await web.get("/nowhere", headers=AUTH)).status_code == 404
    assert (await web.get("/api/v1/alarms/a1/reset", headers=AUTH)).status_code == 405


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((Result.REFUSED, "condition_on"), 409),
        ((Result.EXPIRED, "expired"), 409),
        ((Result.REFUSED, "unknown_alarm"), 404),
    ],
)
async def test_a_refusal_is_a_problem_with_its_code(
    web: httpx.AsyncClient, gateway: Gateway, answer: tuple[Result, str], status: int
) -> None:
    gateway.answer = answer
    got = await web.post("/api/v1/alarms/a1/reset", json={"by": "x"}, headers=AUTH)
    assert got.status_code == status and got.headers["content-type"] == "application/problem+json"
    assert got.json()["code"] == answer[1] and got.json()["outcome"]["result"] == answer[0]


async def test_a_journal_that_takes_no_commits_is_503(web: httpx.AsyncClient, gateway: Gateway) -> None:
    gateway.durable = False
    got = await web.post("/api/v1/alarms/a1/acknowledge", json={"by": "x"}, headers=AUTH)
    assert (got.status_code, got.json()["code"]) == (503, "not_durable")


async def test_a_large_body_is_413_also_in_pieces(web: httpx.AsyncClient, gateway: Gateway) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    whole = await web.post("/api/v1/alarms/a1/reset", content=b" " * 100_000, headers=AUTH)
    cut = await web.post("/api/v1/alarms/a1/reset", content=pieces(), headers=AUTH)
    assert (whole.status_code, cut.status_code) == (413, 413) and gateway.said == []


async def test_metrics_have_the_names_of_the_contract(web: httpx.AsyncClient) -> None:
    text = (await web.get("/metrics")).text
    for line in [
        "linli_events_committed_total 5.0",
        "linli_outbox_rows 2.0",
        'linli_alarms{class="fire.smoke",state="UNACK"} 1.0',
        'linli_points{quality="good"} 1.0',
        'linli_points{quality="uncertain"} 0.0',
        'linli_shed_total{lane="readings"} 3.0',
        'linli_link_up{link="bus1"} 1.0',
        'linli_link_up{link="zigbee"} 0.0',
        'linli_input_rejected_total{cause="garbled",driver="mqtt"} 4.0',
        'linli_commit_seconds_bucket{le="0.001"} 2.0',
        'linli_commit_seconds_bucket{le="+Inf"} 3.0',
        "linli_commit_seconds_count 3.0",
    ]:
        assert line in text.splitlines(), line
    assert "process_resident_memory_bytes" in text


def test_durations_count_up_to_infinity() -> None:
    times = Durations((0.1,))
    times.observe(0.1)
    times.observe(7.0)
    assert times.buckets == ((0.1, 1), (math.inf, 2)) and times.sum_s == 7.1


def token_for(alarm_id: str = "b12-s301-fire.smoke-1", person: str = "li") -> str:
    return person_token("secret", alarm_id, person)


async def test_the_page_shows_and_a_get_changes_nothing(web: httpx.AsyncClient, gateway: Gateway) -> None:
    page = await web.get(f"/a/{token_for()}")
    assert page.status_code == 200 and gateway.said == []
    assert "烟感火警" in page.text and "Smoke" in page.text and "12 号楼 › 1 单元 › 3 层 › 301 户" in page.text
    assert "<script" not in page.text and "李四&lt;b&gt;" in page.text
    assert page.headers["referrer-policy"] == "no-referrer" and "script" not in page.headers["content-security-policy"]


async def test_the_page_acknowledges_as_the_named_person(web: httpx.AsyncClient, gateway: Gateway) -> None:
    form = re.search(r'name="rings" value="(\d+)"', (await web.get(f"/a/{token_for()}")).text)
    assert form is not None
    answer = await web.post(f"/a/{token_for()}", data={"rings": form[1]})
    assert answer.status_code == 303 and answer.headers["location"] == f"/a/{token_for()}"
    (command,) = gateway.said
    assert command.kind is CommandKind.ACKNOWLEDGE and command.by == Person("li", LI.name, Via.PHONE)
    taken = event(event_id="e2", kind=EventKind.ACKNOWLEDGED, state=AlarmState.ACKED, by=command.by, seq=8)
    gateway.open = [fold(gateway.open[0], taken)]
    page = (await web.get(f"/a/{token_for()}")).text
    assert "已由 李四&lt;b&gt; 确认" in page and "<button" not in page


async def test_a_page_older_than_the_newest_ring_acknowledges_nothing(web: httpx.AsyncClient, gateway: Gateway) -> None:
    gateway.open = [fold(gateway.open[0], event(event_id="e2", kind=EventKind.REPEATED, seq=8))]
    for data in ({"rings": "1"}, {}, {"rings": "x"}):
        answer = await web.post(f"/a/{token_for()}", data=data)
        assert answer.status_code == 409 and "又有新的报警" in answer.text
    assert gateway.said == []


@pytest.mark.parametrize(
    "token", ["x", "a" * 22, token_for("other"), token_for(person="wang"), "%00", "../api/v1/points"]
)
async def test_a_token_that_stands_for_nothing(web: httpx.AsyncClient, gateway: Gateway, token: str) -> None:
    assert (await web.get(f"/a/{token}")).status_code in (401, 404)
    assert (await web.post(f"/a/{token}", data={"rings": "1"})).status_code in (401, 404)
    assert gateway.said == []


async def test_a_link_ends_with_its_alarm(web: httpx.AsyncClient, gateway: Gateway) -> None:
    assert (await web.get(f"/a/{token_for()}")).status_code == 200
    gateway.open = []
    assert (await web.get(f"/a/{token_for()}")).status_code == 404


def test_tokens_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    token = load_or_create_token(tmp_path)
    path = tmp_path / "secrets" / "api.token"
    assert load_or_create_token(tmp_path) == token and len(token) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_create_secret(tmp_path, "page.key") != token
    path.write_text("")
    path.chmod(0o644)
    assert load_or_create_token(tmp_path) not in ("", token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and list(path.parent.glob(".*")) == []


def test_no_door_without_a_token() -> None:
    with pytest.raises(ValueError, match="too short"):
        create_app(Gateway(), "")
