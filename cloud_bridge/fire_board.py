"""The states of the building's components as a fire monitoring centre wants them: bits, folded from alarm events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from cloud_bridge.gbt26875 import ComponentBit, DeviceBit
from cloud_bridge.uplink import OpenAlarm
from edge.model import RINGING_KINDS, AlarmClass, AlarmEvent, AlarmState, Device

FIRE = frozenset({AlarmClass.FIRE_SMOKE, AlarmClass.FIRE_HEAT, AlarmClass.GAS_COMBUSTIBLE, AlarmClass.GAS_CO})
FIRE_TOO = frozenset({AlarmClass.BIN_OVERHEAT, AlarmClass.SOS_CALL})
"""火警 of components whose type the centre has agreed to."""
FAULT = frozenset({AlarmClass.DEVICE_FAULT, AlarmClass.DEVICE_OFFLINE, AlarmClass.DEVICE_TAMPER})
OUT = frozenset({AlarmState.SHLVD, AlarmState.OOSRV, AlarmState.DSUPR})
KIND_WORDS = {
    "smoke": "烟感",
    "heat": "温感",
    "gas": "燃气",
    "call_button": "呼叫",
    "call_point": "手报",
    "bin": "垃圾桶",
}


class Board:
    """Which alarms are open per component. alarms: those that are open now; their events were told, or are queued."""

    def __init__(self, devices: Sequence[Device], alarms: Iterable[OpenAlarm]) -> None:
        self.devices = {device.id: device for device in devices}
        self._open: dict[str, dict[AlarmClass, AlarmEvent]] = {}
        for alarm in alarms:
            if alarm.last.device in self.devices:
                self._open.setdefault(alarm.last.device, {})[alarm.last.alarm_class] = alarm.last

    def take(self, event: AlarmEvent) -> bytes | None:
        """Fold an event; what is to be told of it, None when no component's bits have changed."""
        if event.device not in self.devices:
            return None
        before = self.bits(event.device)
        alarms = self._open.setdefault(event.device, {})
        known = alarms.get(event.alarm_class)
        if known is not None and known.seq >= event.seq:
            return None
        if event.state is AlarmState.NORM:
            alarms.pop(event.alarm_class, None)
        else:
            alarms[event.alarm_class] = event
        state = self.bits(event.device)
        rang = event.kind in RINGING_KINDS
        if state == before and not rang:
            return None
        return json.dumps({"device": event.device, "state": state, "at_ms": event.received_ms}).encode()

    def bits(self, device_id: str) -> int:
        """部件状态 of one component."""
        bits = int(ComponentBit.NORMAL)
        for alarm_class, event in self._open.get(device_id, {}).items():
            if event.test:
                bits &= ~ComponentBit.NORMAL
            if event.state in OUT:
                bits |= ComponentBit.SHIELDED
            elif alarm_class in FIRE or alarm_class in FIRE_TOO:
                bits |= ComponentBit.FIRE
            elif alarm_class in FAULT:
                bits |= ComponentBit.FAULT
            elif alarm_class is AlarmClass.DEVICE_BATTERY_LOW:
                bits |= ComponentBit.POWER_FAULT
        return bits

    def device_bits(self, links: Mapping[str, str]) -> int:
        """传输装置状态: of the whole, with the lines to the detectors."""
        every = [self.bits(device_id) for device_id in self.devices]
        bits = int(DeviceBit.NORMAL)
        if any(state & ComponentBit.FIRE for state in every):
            bits |= DeviceBit.FIRE
        if any(state & ComponentBit.FAULT for state in every):
            bits |= DeviceBit.FAULT
        if "down" in links.values():
            bits |= DeviceBit.LINE_FAULT
        return bits


def place_text(device: Device) -> str:
    """Where and what, in the words of the fire brigade: no names of people."""
    place = device.place
    if place.text:
        return place.text
    parts = [f"{place.building}栋" if place.building else "", f"{place.unit}单元" if place.unit else ""]
    if place.household:
        parts.append(f"{place.household}室")
    elif place.floor is not None:
        parts.append(f"{place.floor}层" if place.floor >= 0 else f"地下{-place.floor}层")
    return "".join((*parts, place.room or "", KIND_WORDS.get(device.kind, "")))
