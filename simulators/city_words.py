"""The city stand-in's words: one sentence for each message, in Chinese and English, with the time of the site."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

WORDS = {
    "zh": {
        "title": "市级平台（替身）",
        "lead": "楼宇网关送到市里的内容：只有分类、到网格为止的位置、时间和数量，没有姓名、电话、住户。",
        "switch": '<a href="/?lang=en">English</a>',
        "up": "已连接",
        "down": "未连接",
        "summary": "汇总",
        "fact": "报警事实",
        "failed": "不合格",
        "repeated": "重复",
        "none": "还没有收到消息。",
        "newest": "最新汇总",
        "protected": "生命安全点受保护",
        "at": "时间",
        "what": "内容",
        "ok": "合格",
        "hold": "暂停刷新",
        "go_on": "继续刷新",
        "raw": "原文",
        "grid": " 网格 ",
        "colon": "：",
        "comma": "，",
        "stop": "。",
        "priority": "{n} 级",
        "answered": "已有人应答",
        "unanswered": "尚无人应答",
        "test": "测试",
        "late": "迟到的消息",
        "replay": "补发",
        "untrusted": "网关时钟未同步",
        "window": "{first} 至 {last}",
        "sum.raised": "新报警 {n} 起",
        "sum.open": "未结束 {n} 起",
        "sum.bins": "满桶 {n} 个",
        "sum.links": "线路中断 {n} 条",
    },
    "en": {
        "title": "City platform (stand-in)",
        "lead": "What gateways send the city: classes, places down to the grid, times and counts. No name, no flat.",
        "switch": '<a href="/">中文</a>',
        "up": "connected",
        "down": "not connected",
        "summary": "summaries",
        "fact": "alarm facts",
        "failed": "failed the schema",
        "repeated": "repeated",
        "none": "Nothing has come yet.",
        "newest": "Newest summary",
        "protected": "life-safety points protected",
        "at": "Time",
        "what": "Content",
        "ok": "valid",
        "hold": "Stop renewing",
        "go_on": "Renew again",
        "raw": "as received",
        "grid": " grid ",
        "colon": ": ",
        "comma": ", ",
        "stop": ".",
        "priority": "priority {n}",
        "answered": "somebody has answered",
        "unanswered": "nobody has answered yet",
        "test": "test",
        "late": "late message",
        "replay": "sent again",
        "untrusted": "the gateway's clock is not synchronised",
        "window": "{first} to {last}",
        "sum.raised": "{n} new alarms",
        "sum.open": "{n} still open",
        "sum.bins": "{n} bins full",
        "sum.links": "{n} links down",
    },
}
ZH = {
    "smoke": "烟感",
    "gas": "燃气",
    "call_button": "呼叫按钮",
    "bin": "垃圾桶",
    "door": "门磁",
    "access": "门禁",
    "relay": "继电器",
    "air": "空气",
    "meter": "表计",
    "normal": "正常",
    "alarm": "报警",
    "fault": "故障",
    "offline": "离线",
    "unknown": "未知",
    "unsupervised": "只发不收",
}
"""Device classes and states for Chinese readers; a class that is not here shows as it is."""
CLASSES: dict[str, tuple[str, str]] = {
    "fire.smoke": ("烟感火警", "smoke alarm"),
    "fire.heat": ("温感火警", "heat alarm"),
    "gas.combustible": ("燃气泄漏", "gas leak"),
    "gas.co": ("一氧化碳报警", "carbon monoxide"),
    "sos.call": ("一键呼叫", "call for help"),
    "sos.inactivity": ("长时间无活动", "no sign of life"),
    "door.forced": ("强行开门", "door forced"),
    "door.held": ("门未关", "door held open"),
    "water.leak": ("漏水", "water leak"),
    "bin.overheat": ("垃圾桶过热", "bin overheated"),
    "bin.full": ("垃圾桶满", "bin full"),
    "air.poor": ("空气质量差", "poor air"),
    "device.offline": ("设备离线", "device offline"),
    "device.fault": ("设备故障", "device fault"),
    "device.tamper": ("设备被拆动", "device tampered with"),
    "device.battery_low": ("电池电量低", "battery low"),
    "link.down": ("线路中断", "link down"),
    "gateway.lost": ("网关失联", "gateway lost"),
    "gateway.storage": ("网关存储故障", "gateway storage fault"),
    "gateway.clock": ("网关时钟不准", "gateway clock not trusted"),
    "duty_room.unheard": ("值班室无应答", "duty room not heard"),
    "test": ("测试", "test"),
}
EVENTS: dict[str, tuple[str, str]] = {
    "raised": ("报警", "raised"),
    "repeated": ("再次触发", "went off again"),
    "priority_raised": ("级别升高", "became more urgent"),
    "cleared": ("现场已恢复", "condition is over"),
    "acknowledged": ("有人应答", "was answered"),
    "silenced": ("已静音", "was silenced"),
    "reset": ("已复位", "was reset"),
    "re_alarmed": ("无人处理，再次报警", "rings again: not dealt with"),
    "shelved": ("已搁置", "was shelved"),
    "unshelved": ("搁置到时", "is no longer shelved"),
    "out_of_service": ("已停用", "was taken out of service"),
    "in_service": ("恢复使用", "is in service again"),
}
_OVER = {"cleared", "acknowledged", "reset", "shelved", "out_of_service"}


def _word(table: dict[str, tuple[str, str]], code: str, lang: str) -> str:
    return table.get(code, (code, code))[0 if lang == "zh" else 1]


def local_time(at: str, zone: ZoneInfo) -> str:
    """The time of day at the site; with the date where it is not today's, and as it is where it is no time."""
    try:
        moment = datetime.fromisoformat(at).astimezone(zone)
    except ValueError:
        return at
    return moment.strftime("%H:%M:%S" if moment.date() == datetime.now(zone).date() else "%m-%d %H:%M:%S")


def _place(place: dict[str, Any], word: dict[str, str]) -> str:
    grid = place.get("grid")
    return f"{place['community']}{word['grid']}{grid}" if grid else str(place["community"])


def fact_sentence(fact: dict[str, Any], lang: str) -> str:
    """What happened where, in one sentence. fact: one that fits its schema."""
    word = WORDS[lang]
    what = f"{_word(CLASSES, fact['class'], lang)} {_word(EVENTS, fact['kind'], lang)}"
    parts = [what if lang == "en" else what.replace(" ", ""), word["priority"].format(n=fact["priority"])]
    if fact["kind"] not in _OVER:
        parts.append(word["answered" if fact.get("answered") else "unanswered"])
    parts += [word[mark] for mark in ("test", "late", "replay") if fact.get(mark)]
    parts += [word["untrusted"]] if fact.get("clock") == "unsynced" else []
    return _place(fact["place"], word) + word["colon"] + word["comma"].join(parts) + word["stop"]


def summary_sentence(summary: dict[str, Any], lang: str, zone: ZoneInfo) -> str:
    """A window of time in one sentence. summary: one that fits its schema."""
    word, guard = WORDS[lang], summary["protection"]
    first, last = (local_time(summary[edge], zone) for edge in ("window_start", "window_end"))
    raised, still = (sum(c.get(name, 0) for c in summary["alarms"].values()) for name in ("raised", "open"))
    parts = [
        f"{guard['protected']} / {guard['life_safety_points']} {word['protected']}",
        word["sum.raised"].format(n=raised),
        word["sum.open"].format(n=still),
    ]
    full = summary["bins"].get("full", 0)
    down = sum(state == "down" for state in summary["links"].values())
    parts += [word["sum.bins"].format(n=full)] if full else []
    parts += [word["sum.links"].format(n=down)] if down else []
    parts += [word["replay"]] if summary.get("replay") else []
    window = word["window"].format(first=first, last=last)
    return f"{_place(summary['place'], word)} {window}{word['colon']}{word['comma'].join(parts)}{word['stop']}"
