"""Alarm classes: what kind of danger or trouble, and the fixed facts of each (DESIGN §3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class AlarmClass(StrEnum):
    """What kind of danger or trouble an alarm is. Gas is never shown as fire."""

    FIRE_SMOKE = "fire.smoke"
    FIRE_HEAT = "fire.heat"
    GAS_COMBUSTIBLE = "gas.combustible"
    GAS_CO = "gas.co"
    SOS_CALL = "sos.call"
    SOS_INACTIVITY = "sos.inactivity"
    DOOR_FORCED = "door.forced"
    DOOR_HELD = "door.held"
    WATER_LEAK = "water.leak"
    BIN_OVERHEAT = "bin.overheat"
    BIN_FULL = "bin.full"
    AIR_POOR = "air.poor"
    DEVICE_OFFLINE = "device.offline"
    DEVICE_FAULT = "device.fault"
    DEVICE_TAMPER = "device.tamper"
    DEVICE_BATTERY_LOW = "device.battery_low"
    LINK_DOWN = "link.down"
    GATEWAY_LOST = "gateway.lost"
    GATEWAY_STORAGE = "gateway.storage"
    GATEWAY_CLOCK = "gateway.clock"
    DUTY_ROOM_UNHEARD = "duty_room.unheard"
    TEST = "test"


class ClassInfo(NamedTuple):
    """The fixed facts of an alarm class.

    priority: 1 (urgent) … 4 (hint), before overrides. latching: stays until a person acknowledges and resets.
    life_safety: a device with a rule of this class is a life-safety device. contact_id: SIA DC-05 event code.
    """

    priority: int
    latching: bool
    life_safety: bool
    contact_id: int | None


CLASSES: Mapping[AlarmClass, ClassInfo] = {
    AlarmClass.FIRE_SMOKE: ClassInfo(1, True, True, 111),
    AlarmClass.FIRE_HEAT: ClassInfo(1, True, True, 114),
    AlarmClass.GAS_COMBUSTIBLE: ClassInfo(1, True, True, 151),
    AlarmClass.GAS_CO: ClassInfo(1, True, True, 162),
    AlarmClass.SOS_CALL: ClassInfo(1, True, True, 101),
    AlarmClass.SOS_INACTIVITY: ClassInfo(2, False, True, 102),
    AlarmClass.DOOR_FORCED: ClassInfo(2, False, False, None),
    AlarmClass.DOOR_HELD: ClassInfo(3, False, False, None),
    AlarmClass.WATER_LEAK: ClassInfo(2, False, False, 154),
    AlarmClass.BIN_OVERHEAT: ClassInfo(1, True, True, 158),
    AlarmClass.BIN_FULL: ClassInfo(3, False, False, None),
    AlarmClass.AIR_POOR: ClassInfo(4, False, False, None),
    AlarmClass.DEVICE_OFFLINE: ClassInfo(4, False, False, 381),
    AlarmClass.DEVICE_FAULT: ClassInfo(3, False, False, 380),
    AlarmClass.DEVICE_TAMPER: ClassInfo(3, False, False, 383),
    AlarmClass.DEVICE_BATTERY_LOW: ClassInfo(4, False, False, 384),
    AlarmClass.LINK_DOWN: ClassInfo(2, False, False, None),
    AlarmClass.GATEWAY_LOST: ClassInfo(2, False, False, 354),
    AlarmClass.GATEWAY_STORAGE: ClassInfo(2, False, False, None),
    AlarmClass.GATEWAY_CLOCK: ClassInfo(4, False, False, None),
    AlarmClass.DUTY_ROOM_UNHEARD: ClassInfo(1, False, False, None),
    AlarmClass.TEST: ClassInfo(4, False, False, 602),
}
