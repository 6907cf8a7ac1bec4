"""The duty screen in a real Chromium, before a real duty room that is fed through a real broker."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import rig

pytestmark = pytest.mark.skipif(rig.missing() is not None, reason=rig.missing() or "")
BUDGET_BYTES = 170 * 1024
"""First load of the duty route, JavaScript and styles, gzipped (console reference §5, bar 10)."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with rig.real_browser() as one:
        yield one


@pytest.fixture
def room(tmp_path: Path) -> Iterator[rig.Room]:
    one = rig.Room(tmp_path)
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture
def gateway(room: rig.Room) -> Iterator[rig.Gateway]:
    one = rig.Gateway(room.broker_port)
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture
def page(browser: Browser, room: rig.Room, gateway: rig.Gateway) -> Iterator[Page]:
    with rig.console(browser, room) as one:
        yield one


def start_shift(page: Page) -> None:
    page.get_by_test_id("start-shift").click()
    page.get_by_test_id("heard").click()
    expect(page.get_by_test_id("banner-sound")).to_have_count(0)


def loudness(page: Page) -> float:
    level: float = page.evaluate("window.loudness ? window.loudness() : 0")
    return level


def settle(page: Page) -> None:
    """An alarm must have been on top long enough to be read before a key answers it."""
    page.wait_for_timeout(700)


def test_an_alarm_sounds_until_a_person_acknowledges(page: Page, gateway: rig.Gateway) -> None:
    expect(page.get_by_test_id("banner-sound")).to_be_visible()
    start_shift(page)
    sound = page.get_by_test_id("sound")
    expect(sound).to_have_attribute("data-sound", "on")
    rig.wait("the test tone has faded", lambda: loudness(page) < 0.001)

    gateway.raise_alarm("s301")
    now = page.get_by_test_id("now")
    expect(now).to_contain_text("烟感火警", timeout=2_000)
    expect(now).to_contain_text("12 号楼 › 1 单元 › 3 层 › 301")
    expect(sound).to_have_attribute("data-sounding", "1")
    rig.wait("the alarm can be heard", lambda: loudness(page) > 0.05, within_s=4)

    settle(page)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("detail").get_by_test_id("state")).to_have_text("已确认", timeout=2_000)
    expect(sound).to_have_attribute("data-sounding", "")
    rig.wait("it is quiet", lambda: loudness(page) < 0.001, within_s=4)
    (command,) = gateway.commands
    assert (command["kind"], command["alarm_id"], command["by"]["via"]) == ("acknowledge", "s301", "console")
    rig.wait("the duty room says that somebody can hear", lambda: bool(gateway.duty.get("audible")), within_s=25)


def test_nothing_heard_is_never_shown_as_calm(browser: Browser, room: rig.Room) -> None:
    with rig.console(browser, room) as page:
        now = page.get_by_test_id("now")
        expect(now).to_contain_text("还没有收到楼里的任何消息")
        expect(now).to_contain_text("没有消息：b12")
        for calm in ("没有待确认的报警", "全部报警都已处置", "队列为空"):
            expect(page.locator("body")).not_to_contain_text(calm)
        for priority in (1, 2, 3, 4):
            expect(page.get_by_test_id(f"counter-{priority}")).to_contain_text("?/?")
        expect(page.get_by_test_id("unheard-gateways")).to_be_visible()
        page.goto(f"{page.url.split('#')[0]}#/buildings")
        expect(page.locator(".tile")).to_contain_text("没有消息")
        expect(page.locator(".tile")).not_to_contain_text("无报警")
        page.goto(f"{page.url.split('#')[0]}#/")
        gateway = rig.Gateway(room.broker_port)
        try:
            expect(now).to_contain_text("没有待确认的报警", timeout=12_000)
            expect(page.get_by_test_id("counter-1")).to_contain_text("0/0")
        finally:
            gateway.stop()


def test_a_step_carries_the_name_given_at_the_start_of_the_shift(page: Page, gateway: rig.Gateway) -> None:
    page.get_by_test_id("start-shift").click()
    page.get_by_test_id("officer").fill("周敏")
    page.get_by_test_id("heard").click()
    gateway.raise_alarm("s301", "gas.combustible", value=26.5)
    expect(page.get_by_test_id("now")).to_contain_text("301")
    settle(page)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("timeline")).to_contain_text("周敏 · 值班台")
    assert gateway.commands[0]["by"]["name"] == "周敏"
    rig.wait("the building is told who is on duty", lambda: gateway.duty.get("on_duty") == ["周敏"], within_s=25)
    # Another tab of the same session belongs to the same shift.
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.locator(".names")).to_have_text("周敏")


def test_all_glyphs_flash_in_phase_and_an_empty_queue_has_no_frame(page: Page, gateway: rig.Gateway) -> None:
    start_shift(page)
    page.locator("#queue").focus()
    frame = "getComputedStyle(document.getElementById('queue'), '::after').content"
    assert page.evaluate(frame) == "none"
    starts = "[...document.querySelectorAll('.flashes')].map(g => g.getAnimations()[0].startTime)"
    gateway.raise_alarm("s301")
    expect(page.get_by_test_id("now")).to_contain_text("301")
    page.wait_for_timeout(1_300)
    gateway.raise_alarm("s402", floor=4, household="402")
    gateway.raise_alarm("door", "door.forced", 2, floor=1, household=None)
    expect(page.get_by_test_id("counter-2")).to_contain_text("1/1", timeout=8_000)
    settle(page)
    found = page.evaluate(starts)
    assert len(found) >= 5 and set(found) == {0}


def test_the_sheet_for_paper_has_the_card_and_the_queue(page: Page, gateway: rig.Gateway) -> None:
    gateway.raise_alarm("s301")
    gateway.raise_alarm("bin", "bin.full", 3, floor=1, household=None)
    expect(page.get_by_test_id("counter-3")).to_contain_text("1/1", timeout=8_000)
    assert page.get_by_test_id("sheet").count() == 0
    page.evaluate("() => { window.print = () => { window.printed = !!document.querySelector('.sheet table'); }; }")
    page.keyboard.press("p")
    expect(page.get_by_test_id("sheet")).to_have_count(1)
    assert page.evaluate("window.printed"), "the sheet is there before the browser prints"
    page.emulate_media(media="print")
    sheet = page.get_by_test_id("sheet")
    expect(sheet).to_be_visible()
    for text in ("烟感火警", "12 号楼 › 1 单元 › 3 层 › 301", "拨打 119", "桶满", "处置人签字"):
        expect(sheet).to_contain_text(text)
    expect(page.get_by_test_id("now")).not_to_be_visible()
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.get_by_test_id("sheet")).to_have_count(0)


def test_the_daily_path_takes_six_keys(page: Page, gateway: rig.Gateway) -> None:
    start_shift(page)
    gateway.raise_alarm("s301")
    expect(page.get_by_test_id("now")).to_contain_text("301")
    settle(page)
    state = page.get_by_test_id("detail").get_by_test_id("state")
    page.keyboard.press("Enter")
    expect(state).to_have_text("已确认")
    page.keyboard.press("d")
    # The worker of the place's own grid is proposed first.
    expect(page.locator("[role=radio][aria-checked=true]")).to_contain_text("李四")
    page.keyboard.press("Enter")
    expect(state).to_have_text("已派单")
    gateway.clear("s301")
    expect(page.get_by_test_id("timeline")).to_contain_text("恢复")
    page.keyboard.press("r")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(state).to_have_text("已处置")
    expect(page.get_by_test_id("timeline")).to_contain_text("误报：做饭")
    rig.wait("the reset reached the building", lambda: any(c["kind"] == "reset" for c in gateway.commands))


def test_nobody_is_thanked_when_the_building_does_not_answer(page: Page, gateway: rig.Gateway) -> None:
    gateway.deaf = True
    gateway.raise_alarm("s301")
    expect(page.get_by_test_id("now")).to_contain_text("301")
    settle(page)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("unheard")).to_have_text("楼里没有听到你", timeout=15_000)


def test_a_second_console_sees_who_was_first(
    browser: Browser, room: rig.Room, gateway: rig.Gateway, page: Page
) -> None:
    gateway.raise_alarm("s301")
    expect(page.get_by_test_id("now")).to_contain_text("301")
    settle(page)
    with rig.console(browser, room) as other:
        expect(other.get_by_test_id("now")).to_contain_text("301")
        # Its stream is held up, so that it acts on a version that is no longer true.
        other.route("**/api/v1/incidents/**", lambda route: _behind(route, page))
        settle(other)
        other.keyboard.press("Enter")
        expect(other.get_by_test_id("notice")).to_contain_text("前确认", timeout=5_000)
        expect(other.get_by_test_id("detail").get_by_test_id("state")).to_have_text("已确认")


def _behind(route: object, first: Page) -> None:
    first.locator("[data-testid=now] [data-verb=acknowledge]").click()
    expect(first.get_by_test_id("detail").get_by_test_id("state")).to_have_text("已确认")
    route.continue_()  # type: ignore[attr-defined]  # Playwright's Route


def test_a_dead_connection_is_shown_and_ends(page: Page, room: rig.Room, gateway: rig.Gateway) -> None:
    start_shift(page)
    gateway.raise_alarm("s301", "bin.full", 3)
    expect(page.get_by_test_id("now")).to_contain_text("桶满")
    os.kill(room.process.pid, signal.SIGSTOP)
    try:
        expect(page.get_by_test_id("banner-stale")).to_be_visible(timeout=14_000)
        expect(page.get_by_test_id("banner-lost")).to_be_visible(timeout=10_000)
        expect(page.get_by_test_id("counter-1")).to_contain_text("?")
        expect(page.locator("[data-verb=acknowledge]").first).to_be_disabled()
        expect(page.get_by_test_id("sound")).to_have_attribute("data-sounding", "3")
        gateway.raise_alarm("s302", household="302")
    finally:
        os.kill(room.process.pid, signal.SIGCONT)
    expect(page.get_by_test_id("banner-lost")).to_have_count(0, timeout=6_000)
    expect(page.get_by_test_id("banner-back")).to_contain_text("补收 1 条")
    expect(page.get_by_test_id("now")).to_contain_text("302")
    page.wait_for_timeout(2_000)
    page.goto(f"{page.url.split('#')[0]}#/settings")
    expect(page.get_by_test_id("cuts").locator("tbody tr")).to_have_count(1)


def test_language_and_theme_switch_without_a_reload(page: Page, gateway: rig.Gateway) -> None:
    gateway.raise_alarm("g902", "gas.combustible", floor=9, household="902")
    now = page.get_by_test_id("now")
    expect(now).to_contain_text("燃气泄漏")
    page.get_by_test_id("language").click()
    expect(now).to_contain_text("Gas leak")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_test_id("theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "night")
    page.reload()
    expect(now).to_contain_text("Gas leak")
    expect(page.locator("html")).to_have_attribute("data-theme", "night")


def test_the_elevation_shows_where(page: Page, gateway: rig.Gateway) -> None:
    gateway.raise_alarm("s301")
    expect(page.get_by_test_id("now")).to_contain_text("301")
    page.keyboard.press("b")
    cell = page.locator("[data-cell='1/3/301']")
    expect(cell).to_have_attribute("data-priority", "1", timeout=8_000)
    expect(page.get_by_test_id("protected")).to_contain_text("144/144", timeout=12_000)
    expect(page.locator("[data-cell='2/18/1801']")).not_to_have_attribute("data-unknown", "true")
    cell.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("detail")).to_contain_text("301")


def test_a_storm_leaves_the_page_small_and_the_top_in_view(page: Page, gateway: rig.Gateway) -> None:
    for n in range(200):
        gateway.raise_alarm(f"x{n}", "device.offline", 2, floor=1 + n % 18, household=f"{1 + n % 18}0{1 + n % 2}")
    expect(page.get_by_test_id("counter-2")).to_contain_text("200", timeout=15_000)
    gateway.raise_alarm("c502", "sos.call", unit="2", floor=5, household="502")
    expect(page.get_by_test_id("now")).to_contain_text("一键呼叫", timeout=2_000)
    assert page.evaluate("document.querySelectorAll('*').length") <= 1_500


def violations(page: Page) -> list[str]:
    page.evaluate(rig.AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    run = "tags => axe.run({runOnly: {type: 'tag', values: tags}}).then(r => r.violations)"
    return [f"{v['id']}: {[n['html'][:160] for n in v['nodes'][:3]]}" for v in page.evaluate(run, tags)]


@pytest.mark.parametrize("theme", ["day", "night"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_page_is_accessible(page: Page, gateway: rig.Gateway, language: str, theme: str) -> None:
    gateway.raise_alarm("s301")
    gateway.raise_alarm("door", "door.forced", 2, floor=1, household=None)
    gateway.raise_alarm("bin", "bin.full", 3, floor=1, household=None)
    gateway.raise_alarm("battery", "device.battery_low", 4, floor=11, household="1102")
    expect(page.get_by_test_id("counter-4")).to_contain_text("1")
    settle(page)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("detail").get_by_test_id("state")).to_have_text("已确认")
    page.evaluate(f"localStorage['linli.language'] = '{language}'; localStorage['linli.theme'] = '{theme}'")
    # Flashing glyphs are caught at any opacity; people who want no motion get none.
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    page.wait_for_selector("[data-row]")
    found = {"duty": violations(page)}
    for key, name in (("r", "resolve"), ("?", "keys")):
        page.locator("[data-row]").last.click() if key == "r" else None
        page.keyboard.press(key)
        page.wait_for_timeout(150)
        found[name] = violations(page)
        page.keyboard.press("Escape")
    for route in ("buildings", "settings"):
        page.goto(f"{page.url.split('#')[0]}#/{route}")
        page.wait_for_selector("main h2")
        found[route] = violations(page)
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_the_first_load_stays_light() -> None:
    index = (rig.DIST / "index.html").read_text()
    assets = [path for path in (rig.DIST / "assets").iterdir() if path.name in index]
    assert assets
    assert sum(len(gzip.compress(path.read_bytes())) for path in assets) <= BUDGET_BYTES
