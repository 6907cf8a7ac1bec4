"""Rows of devices (file and tables) → Devices: profiles, links, addresses and places, checked against the site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from device_drivers.profiles import Profile, profile_paths
from device_drivers.profiles.loader import build
from device_drivers.profiles.schema import FAMILIES, PROFILE, Profiled
from edge.config.addresses import SPELLINGS
from edge.config.document import Tree, scalar_value
from edge.config.forms import check_form, one_of
from edge.config.report import Report
from edge.config.schema import DeviceForm, PlaceForm
from edge.config.settings import Site
from edge.config.source import Source, unique
from edge.config.tables import read_rows
from edge.model import Device, Place

COLUMNS = ("id", "profile", "link", "address", "unit", "floor", "household", "room", "note")
NEEDED = ("id", "profile", "link", "address")
_DEVICE: TypeAdapter[DeviceForm] = TypeAdapter(DeviceForm)


@dataclass(frozen=True, slots=True)
class Row:
    """A device's form and where it stands."""

    form: DeviceForm
    tree: Tree


@dataclass(slots=True)
class Library:
    """The profiles there are; each is read when first asked for, and a broken one is reported once."""

    report: Report
    extra_dirs: Sequence[Path] = ()
    used: dict[str, Profile | None] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.paths = profile_paths(self.extra_dirs)

    def get(self, tree: Tree) -> Profile | None:
        """The profile a device names; None after a finding."""
        name = tree.value
        if name not in self.paths:
            one_of(tree, name, sorted(self.paths), self.report, "unknown-profile", "unknown-profile")
            return None
        if name not in self.used:
            self.used[name] = self._read(name, tree)
        return self.used[name]

    def _read(self, name: str, tree: Tree) -> Profile | None:
        found = Report(self.report.lang)
        profile = read_profile(Source(self.paths[name], found))
        self.report.add(found.findings)
        if profile is None:
            at = (tree.file, tree.line, tree.column)
            self.report.error(*at, "unknown-profile", "profile-broken", value=name)
        return profile


def read_profile(source: Source) -> Profile | None:
    """One profile file; None after findings."""
    _, tree = source.tree()
    form = check_form(PROFILE, tree, source.report, Profiled) if tree is not None else None
    if form is None or tree is None:
        return None
    path = source.path.absolute()
    wanted = f"{path.parent.name}/{path.stem}"
    if form.profile != wanted:
        here = tree.near("profile")
        source.report.error(here.file, here.line, here.column, "bad-value", "profile-name", wanted=wanted)
    return build(form)


def table_rows(path: Path, name: str, report: Report) -> list[Tree]:
    """Rows of a devices table in the shape of the building file's entries."""
    rows: list[Tree] = []
    for row in read_rows(path, name, COLUMNS, NEEDED, report):
        parts = {k: row.value.pop(k) for k in ("unit", "floor", "household", "room") if k in row.value}
        if "floor" in parts:
            parts["floor"].value = scalar_value(parts["floor"].text)
        if parts:
            first = next(iter(parts.values()))
            keys = {k: (v.line, v.column) for k, v in parts.items()}
            row.value["place"] = Tree(parts, first.file, first.line, first.column, keys=keys)
        rows.append(row)
    return rows


def check_rows(trees: Iterable[Tree], report: Report) -> list[Row]:
    """The rows whose form is right. Ids that appear twice are found even among faulty rows."""
    rows: list[Row] = []
    ids: list[tuple[str, Tree]] = []
    for tree in trees:
        address = tree.get("address")
        if address is not None and address.text and isinstance(address.value, (int, float)):
            address.value = address.text  # 00123 and 1E234 are codes of transmitters, not numbers
        form = check_form(_DEVICE, tree, report, DeviceForm)
        name = tree.get("id")
        if name is not None and isinstance(name.value, str):
            ids.append((name.value, name))
        if form is None:
            form = _core(tree)
        if form is not None:
            rows.append(Row(form, tree))
    unique(ids, report)
    return rows


def _core(tree: Tree) -> DeviceForm | None:
    """A faulty row without what may be left out, so that its link, profile and address are looked at all the same."""
    core = {name: tree.value[name] for name in NEEDED if name in tree.value} if isinstance(tree.value, dict) else {}
    return check_form(_DEVICE, Tree(core, tree.file, tree.line, tree.column), Report("en"), DeviceForm)


def build_devices(
    rows: Sequence[Row], kinds: Mapping[str, str], site: Site | None, library: Library, report: Report
) -> list[tuple[Device, Tree]]:
    """The devices that hold together. kinds: kind of each link, faulty ones with an empty kind."""
    devices: list[tuple[Device, Tree]] = []
    taken: dict[tuple[str, str], Tree] = {}
    for row in rows:
        form, tree = row.form, row.tree
        profile = library.get(tree.near("profile"))
        place = _place(form.place, tree, site, report)
        if not _link_known(tree.near("link"), kinds, report):
            continue
        kind = kinds[form.link]
        own = profile.wire.get("unit") if profile is not None else None
        address = _address(tree.near("address"), kind, report, own)
        if address is not None:
            _note_address(taken, form.link, address, tree.near("address"), report)
        if profile is None or address is None or not kind:
            continue
        if FAMILIES[kind] != profile.link:
            here = tree.near("link")
            report.error(
                here.file, here.line, here.column, "bad-value", "link-family",
                profile=profile.id, wanted=profile.link, link=form.link, kind=kind,
            )  # fmt: skip
            continue
        device = Device(
            form.id, profile.id, form.link, address, place, profile.points, profile.rules, profile.supervise_s,
            profile.wire, profile.kind,
        )  # fmt: skip
        if device.life_safety and tree.get("place") is None:
            report.warning(tree.file, tree.line, tree.column, "unknown-place", "place-none", value=form.id)
        devices.append((device, tree))
    return devices


def _link_known(tree: Tree, kinds: Mapping[str, str], report: Report) -> bool:
    if tree.value in kinds:
        return True
    one_of(tree, tree.value, list(kinds), report, "unknown-link", "unknown-link")
    return False


def _address(tree: Tree, kind: str, report: Report, own: int | None = None) -> str | None:
    """The address in its one right spelling; None after a finding. An unknown kind of link takes any.

    own: the number a device leaves the factory with; above 247 only such a device is believed.
    """
    text = tree.text or str(tree.value)
    spelling = SPELLINGS.get(FAMILIES.get(kind, ""))
    if spelling is None:
        return text
    shown = spelling.spell(text)
    if shown is None and own is not None and text == str(own):
        shown = text
    if shown is None:
        report.error(tree.file, tree.line, tree.column, "bad-value", spelling.text, value=text)
    return shown


def _note_address(taken: dict[tuple[str, str], Tree], link: str, address: str, tree: Tree, report: Report) -> None:
    there = taken.setdefault((link, address), tree)
    if there is not tree:
        where = there.file if "!" in there.file else f"{there.file}:{there.line}"
        report.error(
            tree.file, tree.line, tree.column, "duplicate-address", "duplicate-address",
            value=address, link=link, where=where,
        )  # fmt: skip


def _place(form: PlaceForm, tree: Tree, site: Site | None, report: Report) -> Place:
    if site is None:
        return Place(None, None, form.unit, form.floor, form.household, form.room, form.text)

    def fault(part: str, key: str, **words: object) -> None:
        here = tree.near("place", part)
        report.error(here.file, here.line, here.column, "unknown-place", key, **words)

    low, high = site.floors
    if form.unit is not None and form.unit not in site.units:
        fault("unit", "place-unit", value=form.unit, known=", ".join(site.units))
    floor_known = form.floor is not None and low <= form.floor <= high and form.floor != 0
    if form.floor is not None and not floor_known:
        fault("floor", "place-floor", value=form.floor, low=low, high=high)
    if form.household is not None and form.floor is None:
        fault("household", "place-no-floor", value=form.household)
    elif form.household is not None and floor_known and form.household.isdigit() and site.households_per_floor:
        doors = [f"{form.floor}{n:02d}" for n in range(1, site.households_per_floor + 1)]
        if form.household not in doors:
            words = {"value": form.household, "floor": form.floor, "low": doors[0], "high": doors[-1]}
            fault("household", "place-household", **words)
    return Place(site.community, site.building, form.unit, form.floor, form.household, form.room, form.text)
