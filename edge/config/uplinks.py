"""What stands under ``uplinks:`` → settings, secrets and addresses resolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.config.document import Tree
from edge.config.schema import UplinksForm
from edge.config.settings import BrokerSettings, CitySettings
from edge.config.source import Source
from edge.config.uplink_forms import BrokerUplinkForm, HomeAssistantForm, InfluxForm, OtherUplinksForm, UplinkForm
from edge.model import Device
from edge.ports import LinkSettings

SECRETS = ("password", "aes_key", "token")
_HTTP, _MQTT = ("http", "https"), ("mqtt", "mqtts")


def read_city(source: Source, tree: Tree | None, form: UplinksForm | None) -> CitySettings | None:
    """The city's broker, or the addresses that take its messages over HTTP."""
    tree = tree.get("city") if tree is not None else None
    if form is None or form.city is None or tree is None:
        return None
    url = tree.near("url")
    first = url.value[0].value if isinstance(url.value, list) else url.value
    if str(first).startswith("http"):
        broker = BrokerSettings(
            source.urls(url, _HTTP),
            form.city.username,
            source.password(tree.get("password")),
            *(source.certificate(tree.get(name)) for name in ("ca", "cert", "key")),
        )
        return CitySettings(broker, form.city.every_s)
    found = source.broker(tree, form.city)
    return CitySettings(found, form.city.every_s) if found is not None else None


def read_uplinks(
    source: Source, tree: Tree | None, form: UplinksForm | None, devices: Sequence[Device]
) -> tuple[LinkSettings, ...]:
    """Every other link out of the building, by its kind."""
    found: list[LinkSettings] = []
    for kind in OtherUplinksForm.model_fields:
        one: UplinkForm | None = getattr(form, kind, None)
        at = tree.get(kind) if tree is not None else None
        if one is None or at is None:
            continue
        options = one.model_dump()
        options |= {name: source.certificate(at.get(name)) for name in ("ca", "cert", "key")}
        options |= {name: source.password(at.get(name)) for name in SECRETS if name in options}
        _where(source, one, at, options)
        if isinstance(one, HomeAssistantForm):
            _known(source, at.near("shares"), devices)
        found.append(LinkSettings(kind, kind, options))
    return tuple(found)


def _where(source: Source, form: UplinkForm, tree: Tree, options: dict[str, Any]) -> None:
    """Addresses or urls, checked, as a tuple."""
    if isinstance(form, InfluxForm):
        options["urls"] = source.urls(tree.get("url"), _HTTP)
    elif isinstance(form, BrokerUplinkForm):
        options["urls"] = source.urls(tree.get("url"), _MQTT)
    else:
        at = tree.near("address")
        items = at.value if isinstance(at.value, list) else [at]
        options["addresses"] = tuple(source.listen(item, item.value) for item in items)
    options.pop("url", None)
    options.pop("address", None)


def _known(source: Source, shares: Tree, devices: Sequence[Device]) -> None:
    """Nobody is shown a device that is not there, and a slip of the pen is no silence."""
    ids = {device.id for device in devices}
    for name in shares.value:
        for item in shares.near(name).value:
            if item.value not in ids:
                known = ", ".join(sorted(ids)[:8])
                at = (item.file, item.line, item.column)
                source.report.error(*at, "bad-value", "not-one-of", value=item.value, known=known)
