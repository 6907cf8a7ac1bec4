"""A link's form → the options its driver gets: absolute ports, resolved secrets, and where two links would collide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edge.config.document import Tree
from edge.config.ports import advise
from edge.config.schema import GbtForm, LineForm, LinkForm, MqttForm, OsdpForm, RadioForm, RtuForm, RtuTcpForm, TcpForm
from edge.config.source import Source

_KEY = re.compile(r"[0-9A-Fa-f]{32}")


def options_of(source: Source, form: LinkForm, tree: Tree) -> dict[str, Any]:
    """Every key of the link; ports as absolute paths, urls as a tuple, secrets resolved."""
    options: dict[str, Any] = form.model_dump(exclude={"id", "kind"})
    if isinstance(form, (RtuForm, RadioForm, LineForm)) and form.port is not None:
        here = tree.near("port")
        advice = advise(form.port)
        if advice is not None:
            at = (here.file, here.line, here.column)
            source.report.warning(*at, "bad-value", advice.key, value=form.port, near=advice.near)
        options["port"] = str(source.beside(form.port))
    if isinstance(form, MqttForm):
        _broker(source, form, tree, options)
    elif isinstance(form, OsdpForm):
        options["key"] = _osdp_key(source, tree)
    elif isinstance(form, GbtForm):
        options["host"], options["port"] = source.listen(tree.get("listen"), form.listen)
    if isinstance(form, LineForm) and form.tcp is not None:
        source.listen(tree.get("tcp"), form.tcp)
    return options


def endpoint_of(form: LinkForm, options: Mapping[str, Any]) -> str:
    """What only one link may use; empty when several may."""
    if isinstance(form, (TcpForm, RtuTcpForm)):
        return f"{form.host}:{form.port}"
    if isinstance(form, MqttForm):
        return ""
    if isinstance(form, GbtForm):
        return form.listen
    if isinstance(form, LineForm) and form.tcp is not None:
        return form.tcp
    return str(options["port"])


def _broker(source: Source, form: MqttForm, tree: Tree, options: dict[str, Any]) -> None:
    options["urls"] = source.urls(tree.get("url"))
    options["url"] = next(iter(options["urls"]), "")
    options["password"] = source.password(tree.get("password"))
    options["readings_password"] = source.password(tree.get("readings_password"))
    options |= {name: source.certificate(tree.get(name)) for name in ("ca", "cert", "key")}
    if form.readings_username is not None and form.readings_username == form.username:
        here = tree.near("readings_username")
        known = {"value": form.username, "where": f"{here.file}:{tree.near('username').line}"}
        source.report.error(here.file, here.line, here.column, "duplicate-id", "duplicate-id", **known)


def _osdp_key(source: Source, tree: Tree) -> object:
    """The secure channel's key, from its own file or the environment."""
    here = tree.get("key")
    key = source.password(here)
    if here is not None and key is not None and not _KEY.fullmatch(key.reveal().strip()):
        source.report.error(here.file, here.line, here.column, "bad-secret", "secret-osdp")
    return key
