"""The form of an MQTT profile: which message carries which value, and what is common to all of a device's messages."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from device_drivers.profiles.base import Part, PointForm, ProfileForm, Scalar, hang_together


class MqttRead(Part):
    """Which message of the device carries the value.

    topic: suffix to the device's address; "" is the address itself, "../X" its sibling X.
    path: dotted path in the JSON body; "" is the whole body as text. A number is an index into a list.
    equals: the point is true when the value is this. map: wire value (as text) → our value.
    id_prefix: the value is a hex code; it counts when it starts with the last level of the device's address.
    """

    topic: str = ""
    path: str = ""
    type: Literal["bool", "number", "text"] = "text"
    equals: Scalar | None = None
    map: dict[str, Scalar] | None = None
    scale: float = 1.0
    offset: float = 0.0
    id_prefix: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.equals is not None) + (self.map is not None) + self.id_prefix > 1:
            raise ValueError("only one of `equals`, `map` and `id_prefix`")
        return self


class MqttWrite(Part):
    """What is published to set a value: the payload with ``{value}`` put in as JSON, at topic ``<address>/<topic>``.

    true_as and false_as: words that stand for true and false instead, put in as they are (ON and OFF).
    """

    topic: str
    payload: str
    true_as: str | None = None
    false_as: str | None = None


class MqttPoint(PointForm):
    """A point of an MQTT device. momentary: an event such as `action`, never a state."""

    read: MqttRead
    write: MqttWrite | None = None


class Availability(Part):
    """The topic that says whether the device is there; a body without JSON is compared as text."""

    topic: str
    path: str = ""
    online: Scalar = "online"


class Decode(Part):
    """Bytes inside the message that a codec of device_drivers/mqtt/codecs.py turns into values.

    path: where the Base64 text is. into: where the values are put, for the points' paths. Values that the message
    already has there (a codec on the network server) are kept.
    """

    codec: Literal["milesight"]
    path: str = "data"
    into: str = "object"


class MqttWire(Part):
    """What is common to all messages of the device.

    sequence and observed: where its own id and time of a report are. counter: path of a number that grows by one
    with each report; what it skips is counted as lost. decode: bytes inside the message.
    """

    availability: Availability | None = None
    sequence: str | None = None
    observed: str | None = None
    counter: str | None = None
    decode: Decode | None = None


class MqttProfile(ProfileForm):
    """A device that publishes to the building broker."""

    link: Literal["mqtt"]
    wire: MqttWire = MqttWire()
    points: Annotated[list[MqttPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))
