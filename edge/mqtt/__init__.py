"""MQTT for every room: one class, behind which the client library can be replaced. Only here is paho imported."""

from edge.mqtt.dial import Received, Will
from edge.mqtt.session import MqttSession

__all__ = ["MqttSession", "Received", "Will"]
