"""The duty-room file and its people → DutyRoomSettings, or every fault in them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter

from edge.config.building import Sections
from edge.config.document import Tree
from edge.config.forms import check_form, near
from edge.config.report import Report
from edge.config.schema import PERSON, ROLES, BrokerForm, DutyForm, DutyRoomForm, GatewayId, PersonForm
from edge.config.secret import Secret
from edge.config.settings import DutyRoomSettings, PersonRow
from edge.config.source import Source, unique
from edge.config.tables import read_rows

COLUMNS = ("id", "name", "role", "grid", "tell")
NEEDED = ("id", "name", "role")
_GATEWAYS: TypeAdapter[list[str]] = TypeAdapter(Annotated[list[GatewayId], Field(min_length=1)])


def read_duty_room(path: Path, report: Report) -> DutyRoomSettings | None:
    """The duty room of a file; None when report has errors."""
    source = Source(path, report)
    _, tree = source.tree()
    if tree is None:
        return None
    sections = Sections(tree, DutyRoomForm, report)
    form = sections.one("duty_room", DutyForm)
    broker = source.broker(tree.get("broker"), sections.one("broker", BrokerForm))
    city = source.broker(tree.get("city"), sections.one("city", BrokerForm))
    gateways = _gateways(sections)
    database = _database(source, sections.text("database"))
    people = _people(source, sections)
    source.timezone(tree.get("duty_room", "timezone"))
    if form is not None:
        _check_public_url(tree.near("duty_room", "public_url"), form.public_url, report)
        host, port = source.listen(tree.get("duty_room", "listen"), form.listen)
    if report.failed or form is None or broker is None:
        return None
    return DutyRoomSettings(
        path=path.absolute(),
        id=form.id,
        data_dir=source.beside(form.data_dir),
        timezone=form.timezone,
        host=host,
        port=port,
        public_url=form.public_url.rstrip("/"),
        broker=broker,
        gateways=gateways,
        people=people,
        database=database,
        city=city,
        warnings=tuple(report.findings),
    )


def read_people(source: Source, path: Path, name: str) -> tuple[PersonRow, ...]:
    """The rows of people.csv (or xlsx), secrets resolved relative to source's folder."""
    report = source.report
    rows = read_rows(path, name, COLUMNS, NEEDED, report)
    people: list[PersonRow] = []
    ids: list[tuple[str, Tree]] = []
    for row in rows:
        form = check_form(PERSON, row, report, PersonForm)
        if form is None:
            continue
        ids.append((form.id, row.near("id")))
        here = row.near("role")
        if form.role not in ROLES:
            known = {"value": form.role, "known": ", ".join(ROLES)}
            meant = near(form.role, ROLES)
            key = "not-one-of-near" if meant else "not-one-of"
            report.warning(here.file, here.line, here.column, "bad-value", key, near=meant, **known)
        tell = _tell(source, row.get("tell"))
        if not tell and row.get("tell") is None:
            report.warning(row.file, row.line, row.column, "no-channel", "no-channel", value=form.name)
        people.append(PersonRow(form.id, form.name, form.role, form.grid, tell))
    unique(ids, report)
    return tuple(people)


def _people(source: Source, sections: Sections) -> tuple[PersonRow, ...]:
    tree = sections.text("people")
    people: tuple[PersonRow, ...] = ()
    if tree is not None:
        name = str(Path(source.name).parent / tree.value)
        people = read_people(source, source.beside(tree.value), name)
    if not people and not sections.report.failed:
        here = tree or sections.tree
        sections.report.warning(here.file, here.line, here.column, "no-channel", "no-people")
    return people


def _tell(source: Source, cell: Tree | None) -> tuple[Secret, ...]:
    """The URLs of one cell, separated by spaces or line breaks."""
    if cell is None:
        return ()
    parts = [Tree(p, cell.file, cell.line, cell.column, p) for p in cell.value.split()]
    return tuple(url for url in (source.tell(p) for p in parts) if url is not None)


def _gateways(sections: Sections) -> tuple[str, ...]:
    tree = sections.tree.get("gateways")
    ids = check_form(_GATEWAYS, tree, sections.report, str) if tree is not None else None
    if tree is None or ids is None:
        return ()
    unique(list(zip(ids, tree.value, strict=True)), sections.report)
    return tuple(dict.fromkeys(ids))


def _database(source: Source, tree: Tree | None) -> Secret | None:
    """A database URL; one with a password in it may not stand in the file."""
    return source.password(tree) if tree is not None and "@" in tree.value else source.secret(tree)


def _check_public_url(tree: Tree, text: str, report: Report) -> None:
    try:
        parts = urlsplit(text)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        report.error(tree.file, tree.line, tree.column, "bad-value", "http-url", value=text)
