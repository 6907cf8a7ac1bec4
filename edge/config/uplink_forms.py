"""The form of what is under ``uplinks:`` beside the city: whoever else is told, in their own words."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+):[0-9]{1,5}$")]
Addresses = Address | Annotated[list[Address], Field(min_length=1, max_length=8)]
"""HOST:PORT, several are tried in order."""
Text = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""One level of a topic."""
Hex = Annotated[str, Field(pattern=r"^[0-9A-F]{1,6}$")]
Interval = Annotated[float, Field(ge=5, le=86400, allow_inf_nan=False)]
Byte = Annotated[int, Field(ge=0, le=255)]


class UplinkForm(BaseModel):
    """Strict types, unknown keys refused. ca, cert, key: PEM files of a TLS link."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ca: Text | None = None
    cert: Text | None = None
    key: Text | None = None


class Dc09Form(UplinkForm):
    """SIA DC-09 to an alarm receiving centre. aes_key: 16, 24 or 32 characters, or hex: and their digits."""

    address: Addresses
    tls: bool = False
    account: Annotated[str, Field(pattern=r"^[0-9A-F]{3,16}$")]
    receiver: Hex = "0"
    line: Hex = "0"
    aes_key: Text | None = None
    test_s: Interval = 60.0


class FireCentreForm(UplinkForm):
    """GB/T 26875.3 to a fire monitoring centre. types: component type per device kind; operators: number per person."""

    address: Addresses
    tls: bool = False
    source: Annotated[int, Field(ge=0, lt=2**48)]
    centre: Annotated[int, Field(ge=0, lt=2**48)]
    user_version: Byte = 0
    system: Byte = 1
    heartbeat_s: Interval = 60.0
    types: dict[Name, Byte] = {}
    operators: dict[Text, Byte] = {}


class Hj212Form(UplinkForm):
    """HJ 212-2017 to an environment platform. factors: its code per point name, e.g. {pm25: a34004}."""

    address: Addresses
    tls: bool = False
    mn: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{14,24}$")]
    system: Annotated[str, Field(pattern=r"^[0-9]{2}$")] = "22"
    password: Text
    every_s: Interval = 60.0
    factors: Annotated[dict[Text, Annotated[str, Field(pattern=r"^[0-9A-Za-z]{2,10}$")]], Field(min_length=1)]


class InfluxForm(UplinkForm):
    """InfluxDB 2. token: may write into the bucket, and nothing else."""

    url: Text
    org: Text
    bucket: Text
    token: Text
    every_s: Interval = 10.0


class BrokerUplinkForm(UplinkForm):
    """A broker of somebody else."""

    url: Text | Annotated[list[Text], Field(min_length=1, max_length=8)]
    username: Text | None = None
    password: Text | None = None


class SparkplugForm(BrokerUplinkForm):
    """Sparkplug B edge node. node: else the gateway's id; host: primary host whose STATE is waited for."""

    group: Name
    node: Name | None = None
    host: Name | None = None


class HomeAssistantForm(BrokerUplinkForm):
    """Home Assistant. shares: name of a share (a user of that broker) → the devices it may see, read-only."""

    prefix: Name = "homeassistant"
    shares: Annotated[dict[Name, list[Name]], Field(min_length=1)]


class OtherUplinksForm(BaseModel):
    """Each may be there once."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    dc09: Dc09Form | None = None
    gbt26875: FireCentreForm | None = None
    hj212: Hj212Form | None = None
    influx: InfluxForm | None = None
    sparkplug: SparkplugForm | None = None
    home_assistant: HomeAssistantForm | None = None
