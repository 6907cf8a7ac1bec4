"""An import-linter contract that reads like the design: a room, and all it may touch directly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class MayImport(Contract):
    """Every direct import of a room must stay inside the room or its list.

    rooms: modules, each with all below it; a room that does not exist yet is passed over. but_not: modules below
    them that the contract leaves out. may_import: modules of ours, each with all below it. never: modules from
    outside, the standard library included. Direct imports are enough: every room has its own contract.
    """

    rooms: Any = fields.ListField(subfield=fields.StringField())
    may_import: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    never: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    but_not: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Compare each import of each room with the lists."""
        ours = tuple(self.session_options["root_packages"])
        broken = []
        for room in self.rooms:
            for module in sorted(m for m in graph.modules if inside(m, (room,)) and not inside(m, self.but_not)):
                for target in sorted(graph.find_modules_directly_imported_by(module)):
                    allowed = not inside(target, self.never)
                    if inside(target, ours):
                        allowed = allowed and inside(target, (room, *self.may_import))
                    if not allowed:
                        details = graph.get_import_details(importer=module, imported=target)
                        lines = ", ".join(str(d["line_number"]) for d in details)
                        broken.append(f"{module} imports {target} (line {lines})")
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line per forbidden import."""
        for line in check.metadata["broken"]:
            output.print_error(line)


def inside(module: str, rooms: Iterable[str]) -> bool:
    """True when the module is one of the rooms or below one."""
    return any(module == room or module.startswith(room + ".") for room in rooms)
