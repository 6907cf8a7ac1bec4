"""The form of the building file and of the duty-room file. Unknown keys are errors; types are strict.

The JSON Schemas under configs/ are generated from here (``python -m edge.config.generate``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from device_drivers.profiles.schema import Scalar
from edge.config.uplink_forms import OtherUplinksForm

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Ids become topics, file names and columns."""
GatewayId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
"""A gateway's id is one level of an MQTT topic and a user name of the duty broker."""
Text = Annotated[str, Field(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Urls = Text | Annotated[list[Text], Field(min_length=1, max_length=8)]
Listen = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+):[0-9]{1,5}$")]
"""HOST:PORT; port 0 takes a free one."""
Baudrate = Literal[300, 600, 1200, 2400, 4800, 9600, 14400, 19200, 38400, 57600, 115200]


ROLES = ("grid_worker", "micro_grid_worker", "grid_chief", "duty_officer", "viewer", "administrator")
"""What people of the duty room are: the first three are told on the street, the others sit in the room."""


class Form(BaseModel):
    """Base of all forms: strict types, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GatewayForm(Form):
    """The gateway itself. public_url: the address phones in the house reach its own page at."""

    id: GatewayId
    data_dir: Text = "./data"
    timezone: Text = "Asia/Shanghai"
    listen: Listen = "127.0.0.1:8081"
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")] | None = None


class SiteForm(Form):
    """The building: its name in the grid system and its shape. floors: [lowest, highest], -1 is B1."""

    community: Text
    grid: Text | None = None
    micro_grid: Text | None = None
    building: Text
    units: Annotated[list[Text], Field(min_length=1, max_length=64)]
    floors: tuple[Annotated[int, Field(ge=-20, le=300)], Annotated[int, Field(ge=-20, le=300)]]
    households_per_floor: int = Field(ge=0, le=99)

    @field_validator("floors", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class RtuForm(Form):
    """A serial bus of Modbus RTU devices. timeout_s: how long one answer may take."""

    id: Id
    kind: Literal["modbus-rtu"]
    port: Text
    baudrate: Baudrate = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: int = Field(default=1, ge=1, le=2)
    timeout_s: float = Field(default=0.25, ge=0.05, le=10, allow_inf_nan=False)


class TcpForm(Form):
    """A host that speaks Modbus TCP, also for several units behind it."""

    id: Id
    kind: Literal["modbus-tcp"]
    host: Text
    port: int = Field(default=502, ge=1, le=65535)
    timeout_s: float = Field(default=1.0, ge=0.05, le=10, allow_inf_nan=False)


class RtuTcpForm(Form):
    """An RS-485 bus behind a serial server that passes its bytes over TCP. baudrate, parity, stopbits: the bus's own.

    The server must be in raw mode; one that translates to Modbus TCP is a modbus-tcp link.
    """

    id: Id
    kind: Literal["modbus-rtu-tcp"]
    host: Text
    port: int = Field(ge=1, le=65535)
    baudrate: Baudrate = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: int = Field(default=1, ge=1, le=2)
    timeout_s: float = Field(default=0.5, ge=0.05, le=10, allow_inf_nan=False)


class MqttForm(Form):
    """The building broker. With readings_username, devices without a life-safety rule get a session of their own."""

    id: Id
    kind: Literal["mqtt"]
    url: Urls
    username: Text | None = None
    password: Text | None = None
    readings_username: Text | None = None
    readings_password: Text | None = None
    ca: Text | None = None
    cert: Text | None = None
    key: Text | None = None


class RadioForm(Form):
    """A 433 MHz receiver on a serial line."""

    id: Id
    kind: Literal["rf433"]
    port: Text
    baudrate: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 19200


class LineForm(Form):
    """A line of bytes: a serial port, or TCP to a converter that carries one. Exactly one of port and tcp."""

    id: Id
    port: Text | None = None
    tcp: Listen | None = None
    parity: Literal["N", "E", "O"] = "N"
    stopbits: int = Field(default=1, ge=1, le=2)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.port is None) == (self.tcp is None):
            raise ValueError("exactly one of `port` (a serial port) and `tcp` (HOST:PORT of a converter)")
        return self


class EspaForm(LineForm):
    """A nurse-call system. role: who is the control station, we (control) or the panel, which then selects us.

    station: our own station number. panel: the station we poll when we are the control station. silent_s: longest
    time without a sign from a panel that is the control station; leave it out when that panel only speaks at calls.
    """

    kind: Literal["espa444"]
    baudrate: Baudrate = 9600
    role: Literal["control", "panel"] = "panel"
    station: Annotated[str, Field(pattern=r"^[0-9]$")] = "2"
    panel: Annotated[str, Field(pattern=r"^[0-9]$")] = "1"
    silent_s: Seconds | None = None


class DltForm(LineForm):
    """A bus of electricity meters that speak DL/T 645-2007."""

    kind: Literal["dlt645"]
    baudrate: Baudrate = 2400
    parity: Literal["N", "E", "O"] = "E"
    timeout_s: float = Field(default=1.0, ge=0.05, le=10, allow_inf_nan=False)


class CjtForm(LineForm):
    """A bus of water, gas and heat meters that speak CJ/T 188."""

    kind: Literal["cjt188"]
    baudrate: Baudrate = 2400
    parity: Literal["N", "E", "O"] = "E"
    timeout_s: float = Field(default=1.0, ge=0.05, le=10, allow_inf_nan=False)


class WiegandForm(LineForm):
    """A converter that writes a line of text for each card. bits: with parity, as read; hex, decimal: the card."""

    kind: Literal["wiegand-text"]
    baudrate: Baudrate = 9600
    format: Literal["bits", "hex", "decimal"] = "bits"


class OsdpForm(LineForm):
    """A bus of access-control readers. key: 32 hex digits of the secure channel, the readers' own (SCBK)."""

    kind: Literal["osdp"]
    baudrate: Baudrate = 9600
    key: Text | None = None


class GbtForm(Form):
    """Where the building's fire transmission device (用户信息传输装置) calls us, as its monitoring centre."""

    id: Id
    kind: Literal["gbt26875-server"]
    listen: Listen


LinkForm = (
    RtuForm
    | RtuTcpForm
    | TcpForm
    | MqttForm
    | RadioForm
    | EspaForm
    | DltForm
    | CjtForm
    | WiegandForm
    | OsdpForm
    | GbtForm
)
AnyLink = Annotated[LinkForm, Field(discriminator="kind")]


class PlaceForm(Form):
    """Where in the building; text replaces or adds words for people."""

    unit: Text | None = None
    floor: Annotated[int, Field(ge=-20, le=300)] | None = None
    household: Text | None = None
    room: Text | None = None
    text: Text | None = None


class DeviceForm(Form):
    """A profile on a link at a place. address: unit number, topic or code, as the link names it."""

    id: Id
    profile: Text
    link: Text
    address: Text | int
    place: PlaceForm = PlaceForm()
    note: str | None = None


class OverrideForm(Form):
    """Changes to one rule of a device or of all devices of a profile."""

    limit: float | None = Field(default=None, allow_inf_nan=False)
    deadband: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    on_delay_s: float | None = Field(default=None, ge=0, le=86400, allow_inf_nan=False)
    off_delay_s: float | None = Field(default=None, ge=0, le=86400, allow_inf_nan=False)
    window_s: float | None = Field(default=None, gt=0, le=7 * 86400, allow_inf_nan=False)
    priority: int | None = Field(default=None, ge=1, le=4)


ClassPattern = Text
"""An alarm class, or a group such as ``fire.*``."""


class SounderForm(Form):
    """A writable point that sounds for these classes until acknowledged."""

    point: Text
    classes: Annotated[list[ClassPattern], Field(min_length=1)]
    when: Literal["at_once", "ladder"] = "at_once"


class LinkageForm(Form):
    """What is set when an alarm of these classes reaches this priority. A gas valve is closed, never opened.

    triggers: how many devices must be in alarm at the same time; 2 where two independent triggers are asked for.
    """

    classes: Annotated[list[ClassPattern], Field(min_length=1)]
    priority: int = Field(default=1, ge=1, le=4)
    triggers: int = Field(default=1, ge=1, le=2)
    point: Text
    value: Scalar


class ModemForm(Form):
    """A GSM modem on a serial line, for short messages. pin: of its SIM card, if it asks for one."""

    port: Text
    baudrate: Literal[9600, 19200, 38400, 57600, 115200] = 115200
    pin: Text | None = None


class RecipientForm(Form):
    """A person whom the gateway itself tells. tell: Apprise URLs, and sms:NUMBER for the gateway's own modem."""

    id: Id
    name: Text
    role: Text = "grid_worker"
    tell: Annotated[list[Text], Field(max_length=16)]


class BrokerForm(Form):
    """How to reach a broker; several urls are tried in order. ca, cert, key: PEM files for mqtts."""

    url: Urls
    username: Text | None = None
    password: Text | None = None
    ca: Text | None = None
    cert: Text | None = None
    key: Text | None = None


class CityForm(BrokerForm):
    """The city's broker, or https:// addresses that take its messages, and how often it gets a summary."""

    every_s: Seconds = 300.0


class UplinksForm(OtherUplinksForm):
    """Who is told outside of the building: the city gets summaries, the others what they ask for."""

    city: CityForm | None = None


class BuildingForm(Form):
    """A building file: everything one gateway is told. profiles: folders with the site's own profiles."""

    gateway: GatewayForm
    site: SiteForm
    links: Annotated[list[AnyLink], Field(min_length=1)]
    devices: list[DeviceForm] = []
    devices_from: Text | None = None
    profiles: list[Text] | Text = []
    rules: dict[str, dict[str, OverrideForm]] = {}
    sounders: list[SounderForm] | None = None
    linkages: list[LinkageForm] = []
    roster: list[RecipientForm] = []
    modem: ModemForm | None = None
    duty_room: BrokerForm | None = None
    uplinks: UplinksForm = UplinksForm()


class DutyForm(Form):
    """The duty room itself. public_url: the address phones reach it at."""

    id: GatewayId
    data_dir: Text = "./data"
    timezone: Text = "Asia/Shanghai"
    listen: Listen = "127.0.0.1:8080"
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "http://127.0.0.1:8080"


class PersonForm(Form):
    """A row of people.csv. tell: Apprise URLs, separated by spaces."""

    id: Id
    name: Text
    role: Text
    grid: Text | None = None
    tell: str | None = None


class DutyRoomForm(Form):
    """A duty-room file."""

    duty_room: DutyForm
    broker: BrokerForm
    gateways: Annotated[list[GatewayId], Field(min_length=1)]
    people: Text | None = None
    database: Text | None = None
    city: BrokerForm | None = None


BUILDING: TypeAdapter[BuildingForm] = TypeAdapter(BuildingForm)
DUTY_ROOM: TypeAdapter[DutyRoomForm] = TypeAdapter(DutyRoomForm)
PERSON: TypeAdapter[PersonForm] = TypeAdapter(PersonForm)
