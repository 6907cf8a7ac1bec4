"""The samples in the documents are true: files pass `check`, words and links lead somewhere, both languages agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from device_drivers.registry import KINDS
from duty_room.incident import ACKNOWLEDGE_S, DISPATCH_S, ON_SCENE_S
from edge import limits
from edge.config import check
from edge.model import CLASSES, AlarmState, BadCause, EventKind
from edge.words import CLASS_WORDS
from tests.tidy.tree import ROOT, files, text

GUIDES = (Path("docs/operate.md"), Path("docs/operate.zh-CN.md"))
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.S)
NAMED = re.compile(r"# ([\w-]+\.(?:yaml|csv))\n")
"""A sample that is a whole file begins with its name."""
HEADING = re.compile(r"^#{2,} (.+)$", re.M)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)|src=\"([^\"]+)\"")
IMAGE_BYTES_MAX = 250_000


def samples(guide: Path) -> dict[str, str]:
    """Every whole file a guide shows, by name; a table loses the line that names it."""
    found = {}
    for _language, body in BLOCK.findall(text(guide)):
        named = NAMED.match(body)
        if named is not None:
            found[named[1]] = body[named.end() :] if named[1].endswith(".csv") else body
    return found


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_sample_files_pass_check(guide: Path, tmp_path: Path) -> None:
    shown = samples(guide)
    assert {"building.yaml", "devices.csv", "duty-room.yaml", "people.csv"} <= set(shown)
    for name, body in shown.items():
        (tmp_path / name).write_text(body, encoding="utf-8")
        for secret in re.findall(r"\$\{file:([^}]+)\}", body):
            path = tmp_path / secret
            path.parent.mkdir(exist_ok=True)
            path.write_text("json://127.0.0.1/x" if path.suffix == ".url" else "not a real password", encoding="utf-8")
    faults = [
        finding
        for name in ("building.yaml", "duty-room.yaml")
        for finding in check(tmp_path / name)
        if finding.severity == "error"
    ]
    assert not faults, faults


def test_both_guides_show_the_same_commands_and_files() -> None:
    english, chinese = (BLOCK.findall(text(guide)) for guide in GUIDES)
    assert english == chinese
    english_heads, chinese_heads = (len(HEADING.findall(text(guide))) for guide in GUIDES)
    assert english_heads == chinese_heads


def test_both_readmes_show_the_same_pictures_and_pages() -> None:
    def targets(name: str) -> list[str]:
        return sorted(re.sub(r"(\.zh-CN|-zh|-en)(?=\.\w+$)", "", link) for link, _ in LINK.findall(text(Path(name))))

    assert targets("README.md") == targets("README.zh-CN.md")


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_names_the_kinds_of_link_that_work(name: str) -> None:
    """A new driver belongs into the sentence on devices; a kind without a driver does not."""
    line = next(line for line in text(Path(name)).splitlines() if line.startswith(("- **Devices**", "- **设备**")))
    assert set(re.findall(r"`([\w-]+)`", line)) == set(KINDS), f"{name}: {line}"


def minutes(seconds: float) -> str:
    """60 → 60 s, 180 → 3 min, 7200 → 2 h, as the guide writes them."""
    if seconds <= 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def test_the_guide_gives_the_times_that_the_code_keeps() -> None:
    page = text(GUIDES[0])
    wait, ladder = limits.ACK_WAIT_S, limits.LADDER_STEP_S
    told = [
        f"{minutes(limits.RECEIPT_WAIT_S)} after the alarm there is no receipt",
        f"in time: {minutes(wait[1])} for priority 1, {minutes(wait[2])} for priority 2",
        f"has said for {minutes(limits.UNHEARD_WAIT_S)} that nobody can hear",
        f"of the roster has {minutes(ladder[1])} ({minutes(ladder[2])})",
        f"the last is told again every {minutes(limits.LADDER_REPEAT_S)}",
        f"| {minutes(ladder[1])} each | {minutes(ladder[2])} each |",
        f"not heard for {limits.PEER_LOST_S:g} s",
        f"Still on {minutes(limits.RE_ALARM_S[1])} later",
        f"(priority 2: {minutes(limits.RE_ALARM_S[2])})",
        f"**Silence**: {minutes(limits.SILENCE_S)} at most",
        f"**A link is down** for {minutes(limits.LINK_DOWN_DELAY_S)}",
        "after " + ", ".join(f"{gap:g}" for gap in limits.RESEND_GAPS_S) + " s",
        f"{limits.CITY_QUEUE_BYTES // 1024**2} MB at most",
        " / ".join(minutes(times[1]) for times in (ACKNOWLEDGE_S, DISPATCH_S, ON_SCENE_S)),
        " / ".join(minutes(times[3]) for times in (ACKNOWLEDGE_S, DISPATCH_S, ON_SCENE_S)),
    ]
    missing = [sentence for sentence in told if sentence not in page]
    assert not missing, f"docs/operate.md (and its Chinese twin) must say: {missing}"


def anchor(heading: str) -> str:
    """The name a heading gets: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_link_in_a_document_leads_somewhere() -> None:
    missing = []
    for path in files():
        if path.suffix != ".md":
            continue
        for match in LINK.finditer(re.sub(BLOCK, "", text(path))):
            target, _, place = (match[1] or match[2]).partition("#")
            there = (ROOT / path.parent / target) if target else ROOT / path
            if not there.exists():
                missing.append(f"{path}: {target}")
            elif place and place not in {anchor(h) for h in HEADING.findall(there.read_text(encoding="utf-8"))}:
                missing.append(f"{path}: #{place}")
    assert not missing, missing


def test_the_words_page_has_every_class_state_and_kind_as_the_code_has_it() -> None:
    page = text(Path("docs/words.md"))
    for alarm_class, facts in CLASSES.items():
        zh, en = CLASS_WORDS[alarm_class]
        row = (
            f"| `{alarm_class.value}` | {zh} | {en} | {facts.priority} | {'yes' if facts.latching else ''} | "
            f"{'yes' if facts.life_safety else ''} | {facts.contact_id or ''} |"
        )
        assert row in page, row
    for word in (*AlarmState, *EventKind, *BadCause):
        assert re.search(rf"\b{word.value}\b", page), word


def test_pictures_stay_small() -> None:
    large = {
        str(path): (ROOT / path).stat().st_size
        for path in files()
        if path.parts[:2] == ("docs", "images") and (ROOT / path).stat().st_size > IMAGE_BYTES_MAX
    }
    assert not large, f"pictures above {IMAGE_BYTES_MAX} bytes: {large}"
