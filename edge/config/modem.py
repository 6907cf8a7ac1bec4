"""The gateway's modem, and the people who are told through it."""

from __future__ import annotations

from collections.abc import Sequence

from edge.config.document import Tree
from edge.config.ports import advise
from edge.config.schema import ModemForm
from edge.config.source import Source
from edge.model import Recipient
from edge.ports import ModemSettings

LINK = "modem"
"""By this name the modem is a line of the gateway: it goes down, and people hear of it."""


def read_modem(
    source: Source, top: Tree, form: ModemForm | None, roster: Sequence[Recipient], links: Sequence[str]
) -> ModemSettings | None:
    """The modem's settings. Findings: a port that will change its name, somebody to be told by short message where
    there is no modem, a link of the modem's name."""
    report, tree = source.report, top.get("modem")
    wanted = [person.name for person in roster if any(way.startswith("sms:") for way in person.tell)]
    if wanted and tree is None:
        here = top.near("roster")
        report.error(here.file, here.line, here.column, "no-channel", "no-modem", value=wanted[0])
    if tree is None or form is None:
        return None
    if LINK in links:
        report.error(tree.file, tree.line, tree.column, "duplicate-id", "modem-link", value=LINK)
    here, advice = tree.near("port"), advise(form.port)
    if advice is not None:
        at = (here.file, here.line, here.column)
        report.warning(*at, "bad-value", advice.key, value=form.port, near=advice.near)
    return ModemSettings(str(source.beside(form.port)), form.baudrate, source.password(tree.get("pin")))
