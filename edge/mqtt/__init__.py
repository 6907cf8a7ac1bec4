"""MQTT for every room: one class, behind which the client library can be replaced (DESIGN §4.3). Only here is paho imported."""

from edge.mqtt.dial import Received, Will
from edge.mqtt.session import MqttSession

__all__ = ["MqttSession", "Received", "Will"]
