"""The words for people in messages that the gateway itself sends: Chinese first, then English."""

from __future__ import annotations

from collections.abc import Mapping

from edge.model import AlarmClass, Place, Value

CLASS_WORDS: Mapping[AlarmClass, tuple[str, str]] = {
    AlarmClass.FIRE_SMOKE: ("烟感火警", "Smoke alarm"),
    AlarmClass.FIRE_HEAT: ("温感火警", "Heat alarm"),
    AlarmClass.GAS_COMBUSTIBLE: ("燃气泄漏", "Gas leak"),
    AlarmClass.GAS_CO: ("一氧化碳报警", "Carbon monoxide"),
    AlarmClass.SOS_CALL: ("一键呼叫", "Call for help"),
    AlarmClass.SOS_INACTIVITY: ("长时间无活动", "No sign of activity"),
    AlarmClass.DOOR_FORCED: ("强行开门", "Door forced"),
    AlarmClass.DOOR_HELD: ("门未关", "Door held open"),
    AlarmClass.WATER_LEAK: ("漏水", "Water leak"),
    AlarmClass.BIN_OVERHEAT: ("垃圾桶过热", "Bin overheating"),
    AlarmClass.BIN_FULL: ("垃圾桶满", "Bin full"),
    AlarmClass.AIR_POOR: ("空气质量差", "Poor air"),
    AlarmClass.DEVICE_OFFLINE: ("设备离线", "Device offline"),
    AlarmClass.DEVICE_FAULT: ("设备故障", "Device fault"),
    AlarmClass.DEVICE_TAMPER: ("设备被拆动", "Device tampered with"),
    AlarmClass.DEVICE_BATTERY_LOW: ("电池电量低", "Battery low"),
    AlarmClass.LINK_DOWN: ("线路中断", "Link down"),
    AlarmClass.GATEWAY_LOST: ("网关失联", "Gateway lost"),
    AlarmClass.GATEWAY_STORAGE: ("网关存储故障", "Gateway storage fault"),
    AlarmClass.GATEWAY_CLOCK: ("网关时钟不准", "Gateway clock not set"),
    AlarmClass.DUTY_ROOM_UNHEARD: ("值班室无应答", "Duty room not heard"),
    AlarmClass.TEST: ("测试", "Test"),
}


def place_words(place: Place) -> tuple[str, str]:
    """A place in Chinese and in English, from the largest part to the smallest."""
    floor = place.floor
    zh = [
        place.community or "",
        f"{place.building} 号楼" if place.building else "",
        f"{place.unit} 单元" if place.unit else "",
        "" if floor is None else f"地下 {-floor} 层" if floor < 0 else f"{floor} 层",
        f"{place.household} 户" if place.household else "",
        place.room or "",
        place.text or "",
    ]
    en = [
        place.community or "",
        f"building {place.building}" if place.building else "",
        f"stair {place.unit}" if place.unit else "",
        "" if floor is None else f"basement {-floor}" if floor < 0 else f"floor {floor}",
        f"flat {place.household}" if place.household else "",
        place.room or "",
        place.text or "",
    ]
    return " › ".join(part for part in zh if part), ", ".join(part for part in en if part)


def detail_words(alarm_class: AlarmClass, device: str, value: Value | None, unit: str | None) -> tuple[str, str]:
    """What else a person must know at once: which line is cut and how many it leaves unprotected, or how much gas."""
    if alarm_class is AlarmClass.LINK_DOWN:
        zh = f"线路 {device}，{value} 个生命安全设备失去保护"
        return zh, f"line {device}, {value} life-safety devices unprotected"
    if alarm_class in (AlarmClass.DEVICE_OFFLINE, AlarmClass.DEVICE_FAULT):
        return f"设备 {device}", f"device {device}"
    if unit and value is not None:
        return f"{value} {unit}", f"{value} {unit}"
    return "", ""


def message(
    alarm_class: AlarmClass,
    priority: int,
    place: Place,
    count: int,
    link: str | None,
    detail: tuple[str, str] = ("", ""),
) -> tuple[str, str]:
    """Title and body of a message that tells a person of an alarm; link opens the page to answer on."""
    zh, en = CLASS_WORDS[alarm_class]
    place_zh, place_en = place_words(place)
    more_zh = "".join((f"（第 {count} 次）" if count > 1 else "", f"（{detail[0]}）" if detail[0] else ""))
    more_en = "".join((f" (time {count})" if count > 1 else "", f" ({detail[1]})" if detail[1] else ""))
    urgent = "【紧急】" if priority == 1 else "【重要】"
    title = f"{urgent}{zh} {place_zh}".strip()
    lines = [
        f"{place_zh} {zh}{more_zh}。值班室尚未处理，请立即查看并确认。",
        f"{en}{more_en}: {place_en}. The duty room has not answered yet: please look now and acknowledge.",
    ]
    if link:
        lines.append(link)
    return title, "\n".join(lines)
