"""The building file → Building, or every fault in it at once."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from device_drivers.profiles.schema import FAMILIES
from edge.config import effects
from edge.config.devices import Library, build_devices, check_rows, table_rows
from edge.config.document import Tree
from edge.config.forms import check_form, unknown_key, wrong_type
from edge.config.links import endpoint_of, options_of
from edge.config.modem import read_modem
from edge.config.report import Report
from edge.config.schema import (
    AnyLink,
    BrokerForm,
    BuildingForm,
    GatewayForm,
    LinkageForm,
    LinkForm,
    ModemForm,
    OverrideForm,
    RecipientForm,
    SiteForm,
    SounderForm,
    UplinksForm,
)
from edge.config.settings import Building, GatewaySettings, Site
from edge.config.source import Source, unique
from edge.config.uplinks import read_city, read_uplinks
from edge.model import Device, PointKey, Recipient
from edge.ports import LinkSettings

F = TypeVar("F", bound=BaseModel)
ACK_KEY = "ack_key"
"""A point of this name is the key switch with which somebody on site answers."""
_LINK: TypeAdapter[LinkForm] = TypeAdapter(AnyLink)
_OVERRIDES: TypeAdapter[dict[str, dict[str, OverrideForm]]] = TypeAdapter(dict[str, dict[str, OverrideForm]])


class Sections:
    """The parts of one file by name: each is checked on its own, so that one fault hides no other."""

    def __init__(self, tree: Tree, form: type[BaseModel], report: Report) -> None:
        self.tree = tree
        self.report = report
        known = list(form.model_fields)
        for name in tree.value:
            if name not in known:
                unknown_key(tree, name, report, known)
        for name, info in form.model_fields.items():
            if info.is_required() and name not in tree.value:
                report.error(tree.file, tree.line, tree.column, "missing-key", "missing-key", name=name)

    def one(self, name: str, form: type[F]) -> F | None:
        """A section that is one form."""
        tree = self.tree.get(name)
        return check_form(TypeAdapter(form), tree, self.report, form) if tree is not None else None

    def text(self, name: str) -> Tree | None:
        """A section that is one text."""
        tree = self.tree.get(name)
        if tree is not None and not isinstance(tree.value, str):
            wrong_type(tree, "string", self.report)
            return None
        return tree

    def items(self, name: str) -> list[Tree]:
        """The entries of a list."""
        tree = self.tree.get(name)
        if tree is None:
            return []
        if not isinstance(tree.value, list):
            wrong_type(tree, "list", self.report)
            return []
        return list(tree.value)

    def many(self, name: str, form: type[F]) -> tuple[list[F], list[Tree]]:
        """The entries of a list of forms that are right, and where they stand."""
        adapter: TypeAdapter[F] = TypeAdapter(form)
        forms: list[F] = []
        trees: list[Tree] = []
        for tree in self.items(name):
            checked = check_form(adapter, tree, self.report, form)
            if checked is not None:
                forms.append(checked)
                trees.append(tree)
        return forms, trees


def read_building(path: Path, report: Report) -> Building | None:
    """The building of a file; None when report has errors. Never raises on what a file may hold."""
    source = Source(path, report)
    data, tree = source.tree()
    if tree is None:
        return None
    sections = Sections(tree, BuildingForm, report)
    gateway = _gateway(source, sections)
    site = _site(sections)
    links = _links(source, sections)
    library = Library(report, _profile_dirs(source, sections))
    rows = list(sections.items("devices"))
    table = _table(source, sections)
    if table is not None:
        rows += table_rows(table, _beside_name(source, table), report)
    if tree.get("devices") is None and tree.get("devices_from") is None:
        report.error(tree.file, tree.line, tree.column, "missing-key", "missing-devices")
    kinds = _kinds(sections, links)
    found: effects.Found = build_devices(check_rows(rows, report), kinds, site, library, report)
    found = _overridden(sections, found)
    roster = _roster(source, sections)
    modem = read_modem(source, tree, sections.one("modem", ModemForm), roster, [settings.id for settings, _ in links])
    duty_room = source.broker(tree.get("duty_room"), sections.one("duty_room", BrokerForm))
    out, out_tree = sections.one("uplinks", UplinksForm), tree.get("uplinks")
    city = read_city(source, out_tree, out)
    uplinks = read_uplinks(source, out_tree, out, [device for device, _ in found])
    sounder_forms, sounder_trees = sections.many("sounders", SounderForm)
    linkage_forms, linkage_trees = sections.many("linkages", LinkageForm)
    said = sounder_forms if tree.get("sounders") is not None else None
    sounders = effects.sounders(said, sounder_trees, found, report)
    linkages = effects.linkages(linkage_forms, linkage_trees, found, report)
    can_tell = any(person.tell for person in roster) or _named(sections, "roster")
    effects.check_told(found, sounders, can_tell, duty_room is not None, tree, report)
    effects.check_watched(found, report)
    effects.check_speed(links, found, report)
    if report.failed or gateway is None or site is None:
        return None
    return Building(
        path=path.absolute(),
        config_hash=_hash(data, table, library),
        gateway=gateway,
        site=site,
        links=tuple(settings for settings, _ in links),
        devices=tuple(device for device, _ in found),
        roster=roster,
        modem=modem,
        duty_room=duty_room,
        city=city,
        uplinks=uplinks,
        sounders=sounders,
        linkages=linkages,
        ack_keys=_ack_keys([device for device, _ in found]),
        profiles={name: p for name, p in library.used.items() if p is not None},
        warnings=tuple(report.findings),
    )


def _gateway(source: Source, sections: Sections) -> GatewaySettings | None:
    form = sections.one("gateway", GatewayForm)
    tree = sections.tree.get("gateway")
    if tree is None:
        return None
    source.timezone(tree.get("timezone"))
    if form is None:
        return None
    host, port = source.listen(tree.get("listen"), form.listen)
    data_dir = source.beside(form.data_dir)
    return GatewaySettings(form.id, data_dir, form.timezone, host, port, form.public_url)


def _site(sections: Sections) -> Site | None:
    form = sections.one("site", SiteForm)
    if form is None:
        return None
    low, high = form.floors
    if low > high:
        here = sections.tree.near("site", "floors")
        sections.report.error(here.file, here.line, here.column, "bad-value", "floors", low=low, high=high)
        return None
    return Site(
        form.community, form.grid, form.micro_grid, form.building, tuple(form.units), form.floors,
        form.households_per_floor,
    )  # fmt: skip


def _profile_dirs(source: Source, sections: Sections) -> list[Path]:
    folders: list[Path] = []
    said = sections.tree.get("profiles")
    # One folder may stand there without brackets.
    for tree in [said] if said is not None and isinstance(said.value, str) else sections.items("profiles"):
        if not isinstance(tree.value, str):
            wrong_type(tree, "string", sections.report)
        elif not source.beside(tree.value).is_dir():
            sections.report.error(tree.file, tree.line, tree.column, "bad-value", "folder", value=tree.value)
        else:
            folders.append(source.beside(tree.value))
    return folders


def _table(source: Source, sections: Sections) -> Path | None:
    tree = sections.text("devices_from")
    return source.beside(tree.value) if tree is not None else None


def _beside_name(source: Source, path: Path) -> str:
    """A table is called as the person would type it from where they stand."""
    try:
        return str(Path(source.name).parent / path.relative_to(source.folder))
    except ValueError:
        return str(path)


def _links(source: Source, sections: Sections) -> list[tuple[LinkSettings, Tree]]:
    report = sections.report
    links: list[tuple[LinkSettings, Tree]] = []
    ids: list[tuple[str, Tree]] = []
    ports: dict[str, str] = {}
    for tree in sections.items("links"):
        name = tree.get("id")
        if name is not None and isinstance(name.value, str):
            ids.append((name.value, name))
        form = check_form(_LINK, tree, report, LinkForm)
        if form is None:
            continue
        options = options_of(source, form, tree)
        port = endpoint_of(form, options)
        if port in ports:
            here = tree.near(next((k for k in ("port", "tcp", "listen") if k in tree.value), "host"))
            at = (here.file, here.line, here.column)
            report.error(*at, "duplicate-address", "duplicate-port", value=port, link=ports[port])
        elif port:
            ports[port] = form.id
        links.append((LinkSettings(form.id, form.kind, options), tree))
    unique(ids, report)
    return links


def _kinds(sections: Sections, links: Sequence[tuple[LinkSettings, Tree]]) -> dict[str, str]:
    """Kind of each link by id; a link with faults is known, so that its devices are not called lost."""
    kinds: dict[str, str] = {}
    for tree in sections.items("links"):
        name, kind = tree.get("id"), tree.get("kind")
        if name is not None and isinstance(name.value, str):
            kinds.setdefault(name.value, kind.value if kind is not None and kind.value in FAMILIES else "")
    for settings, _ in links:
        kinds[settings.id] = settings.kind
    return kinds


def _overridden(sections: Sections, found: effects.Found) -> effects.Found:
    tree = sections.tree.get("rules")
    if tree is None:
        return found
    forms = check_form(_OVERRIDES, tree, sections.report, OverrideForm)
    return effects.override(found, forms, tree, sections.report) if forms is not None else found


def _roster(source: Source, sections: Sections) -> tuple[Recipient, ...]:
    forms, trees = sections.many("roster", RecipientForm)
    unique([(form.id, tree.near("id")) for form, tree in zip(forms, trees, strict=True)], sections.report)
    people: list[Recipient] = []
    for form, tree in zip(forms, trees, strict=True):
        at = (tree.file, tree.line, tree.column)
        if not form.tell:
            sections.report.error(*at, "no-channel", "no-channel", value=form.name)
        urls = [source.tell(item) for item in tree.near("tell").value]
        people.append(Recipient(form.id, form.name, form.role, tuple(u for u in urls if u is not None)))
    return tuple(people)


def _named(sections: Sections, name: str) -> bool:
    """True when the list has entries, however faulty: their own findings say enough."""
    tree = sections.tree.get(name)
    return tree is not None and isinstance(tree.value, list) and bool(tree.value)


def _ack_keys(devices: Sequence[Device]) -> tuple[PointKey, ...]:
    return tuple(PointKey(d.id, p.key) for d in devices for p in d.points if p.key == ACK_KEY)


def _hash(data: bytes, table: Path | None, library: Library) -> str:
    """Sixteen hex digits over the file, its table and the profiles in use, as they are on disk; never a secret."""
    digest = sha256(data)
    for path in ([table] if table is not None else []) + [library.paths[name] for name in sorted(library.used)]:
        digest.update(b"\0" + sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
