"""Tree + form → checked form, every fault at once and each at its own line and column."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from edge.config.document import Tree, scalar_value
from edge.config.report import Report
from edge.config.texts import LIMITS, PATTERNS, TYPES

T = TypeVar("T")
Path = tuple[str | int, ...]


def near(word: object, known: Iterable[str]) -> str | None:
    """The known word most like this one, None when none is."""
    found = difflib.get_close_matches(str(word)[:120], list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def field_names(form: Any) -> list[str]:
    """The keys a form and the forms inside it take, as the file writes them."""
    names: list[str] = []
    if isinstance(form, type) and issubclass(form, BaseModel):
        for name, info in form.model_fields.items():
            names.append(info.alias or name)
            names += field_names(info.annotation)
    for argument in get_args(form):
        names += field_names(argument)
    return list(dict.fromkeys(names))


def check_form(adapter: TypeAdapter[T], tree: Tree, report: Report, form: Any) -> T | None:
    """The checked form, None after findings. form: the type behind the adapter, for the keys it knows."""
    try:
        return adapter.validate_python(tree.plain())
    except ValidationError as error:
        seen: set[Path] = set()
        for fault in error.errors(include_url=False):
            path = _resolve(tree, fault["loc"])
            if path not in seen:
                seen.add(path)
                _explain(tree, path, fault, report, form)
    return None


def unknown_key(tree: Tree, name: str, report: Report, known: Sequence[str]) -> None:
    """A key nobody reads; the nearest known one that is not yet there is named."""
    line, column = tree.keys.get(name, (tree.line, tree.column))
    meant = near(name, (k for k in known if k not in tree.value))
    if meant is not None:
        report.error(tree.file, line, column, "unknown-key", "unknown-key-near", name=name, near=meant)
    else:
        report.error(tree.file, line, column, "unknown-key", "unknown-key", name=name, known=", ".join(known))


def one_of(tree: Tree, value: object, known: Sequence[str], report: Report, code: str, key: str) -> None:
    """A name that is not among the known ones; key names the text, key-near the one with a suggestion."""
    meant = near(value, known)
    if meant is not None:
        report.error(tree.file, tree.line, tree.column, code, f"{key}-near", value=value, near=meant)
    else:
        report.error(tree.file, tree.line, tree.column, code, key, value=value, known=", ".join(known))


def wrong_type(tree: Tree, wanted: str, report: Report) -> None:
    """A value of another kind than the file needs; wanted: a key of texts.TYPES."""
    words = TYPES[report.lang]
    found = words[_kind(tree.value)]
    at = (tree.file, tree.line, tree.column, "wrong-type")
    if wanted == "string" and tree.text and not isinstance(tree.value, (dict, list)):
        report.error(*at, "wrong-type-quote", found=found, text=tree.text)
    elif isinstance(tree.value, str) and wanted in ("int", "float", "bool") and scalar_value(tree.value) != tree.value:
        report.error(*at, "wrong-type-unquote", wanted=words[wanted])
    else:
        report.error(*at, "wrong-type", found=found, wanted=words[wanted])


def _kind(value: object) -> str:
    kinds = {dict: "dict", list: "list", str: "string", bool: "bool", int: "int", float: "float"}
    return kinds.get(type(value), "none")


def _resolve(tree: Tree, loc: Sequence[str | int]) -> Path:
    """The error's path without the names of unions and validators, which are not in the file."""
    path: Path = ()
    for index, step in enumerate(loc):
        last = index == len(loc) - 1
        here = tree.get(*path)
        if here is None:
            break
        if tree.get(*path, step) is not None or (last and isinstance(here.value, dict) and isinstance(step, str)):
            path = (*path, step)
    return path


def _explain(tree: Tree, path: Path, fault: Mapping[str, Any], report: Report, form: Any) -> None:
    kind = fault["type"]
    context: Mapping[str, Any] = fault.get("ctx") or {}
    here = tree.near(*path)
    at = (here.file, here.line, here.column)
    if kind == "missing" and isinstance(fault["loc"][-1], str):
        report.error(*at, "missing-key", "missing-key", name=fault["loc"][-1])
    elif kind == "extra_forbidden":
        parent = tree.near(*path[:-1])
        unknown_key(parent, str(path[-1]), report, _keys_at(form, parent))
    elif kind in ("literal_error", "union_tag_invalid"):
        _literal(here, kind, context, fault, report)
    elif kind == "union_tag_not_found":
        name = str(context.get("discriminator", "kind")).strip("'")
        report.error(*at, "missing-key", "missing-key", name=name)
    elif kind.endswith("_type"):
        wrong_type(here, _wanted(kind), report)
    elif kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        words = PATTERNS.get(pattern, {"en": pattern, "zh": pattern})[report.lang]
        report.error(*at, "bad-value", "pattern", value=here.value, pattern=words)
    else:
        _bound(here, kind, context, fault, report)


def _keys_at(form: Any, parent: Tree) -> list[str]:
    """The keys of the form that shares most with what is there, then all others."""
    best = max(_forms(form), key=lambda f: sum(k in parent.value for k in _own_keys(f)), default=None)
    return _own_keys(best) if best is not None else field_names(form)


def _forms(form: Any) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    if isinstance(form, type) and issubclass(form, BaseModel):
        found.append(form)
        for info in form.model_fields.values():
            found += _forms(info.annotation)
    for argument in get_args(form):
        found += _forms(argument)
    return found


def _own_keys(form: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in form.model_fields.items()]


def _wanted(kind: str) -> str:
    word = kind.removesuffix("_type")
    return {"model_attributes": "model", "mapping": "dict", "number": "float"}.get(
        word, word if word in TYPES["en"] else "model"
    )


def _literal(here: Tree, kind: str, context: Mapping[str, Any], fault: Mapping[str, Any], report: Report) -> None:
    if kind == "union_tag_invalid":
        here = here.get(str(context.get("discriminator", "kind")).strip("'")) or here
    wanted = str(context.get("expected_tags") or context.get("expected", ""))
    known = [w.strip(" '") for w in wanted.replace(" or ", ", ").split(",")]
    numbers = all(w.lstrip("-").isdigit() for w in known)
    if numbers and type(here.value) is not int:
        wrong_type(here, "int", report)
    elif known == ["True"]:
        wrong_type(here, "bool", report)
    elif not numbers and not isinstance(here.value, str):
        wrong_type(here, "string", report)
    else:
        one_of(here, here.value, known, report, "bad-value", "not-one-of")


def _bound(here: Tree, kind: str, context: Mapping[str, Any], fault: Mapping[str, Any], report: Report) -> None:
    words = LIMITS[report.lang]
    at = (here.file, here.line, here.column, "bad-value")
    bounds = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
    lengths = {"min_length": "short", "max_length": "long"}
    if kind in bounds:
        report.error(*at, "range", value=here.value, wanted=words[bounds[kind]].format(limit=context[bounds[kind]]))
    elif kind == "finite_number":
        report.error(*at, "range", value=here.value, wanted=words["finite"])
    elif any(name in context for name in lengths):
        name = next(n for n in lengths if n in context)
        report.error(*at, "length", wanted=words[lengths[name]].format(limit=context[name]))
    elif kind in ("missing", "too_long", "too_short"):
        report.error(*at, "length", wanted=words["exact"].format(limit=2))
    else:
        report.error(*at, "form", problem=str(fault["msg"]).removeprefix("Value error, "))
