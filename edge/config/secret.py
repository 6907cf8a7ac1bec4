"""Secrets: text that does not print itself, and the two places it may come from."""

from __future__ import annotations

import os
import re
from pathlib import Path

SECRET_BYTES_MAX = 16 * 1024
"""A password, token or URL; a larger file is the wrong file."""
_REFERENCE = re.compile(r"\$\{(file|env):([^}]*)\}")


class Secret(str):
    """Text that is whole in use (``encode``, ``+``, comparison) and prints as ``***``.

    ``str()``, ``repr()`` and f-strings show only the stars; ``reveal()`` gives plain text on purpose.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "'***'"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def reveal(self) -> str:
        """The plain text."""
        return "".join(self)


class BadSecret(ValueError):
    """A reference that leads nowhere. key names the text in the catalogue, name what was referred to."""

    def __init__(self, key: str, name: str) -> None:
        super().__init__(f"{key}: {name}")
        self.key = key
        self.name = name


def refers(text: str) -> bool:
    """True when the text takes something from outside the file."""
    return _REFERENCE.search(text) is not None


def resolve(text: str, folder: Path) -> Secret:
    """The text with every ``${file:NAME}`` and ``${env:NAME}`` put in. Raises BadSecret."""

    def value(match: re.Match[str]) -> str:
        kind, name = match.groups()
        return _from_environment(name) if kind == "env" else _from_file(folder, name)

    return Secret(_REFERENCE.sub(value, text))


def _from_environment(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise BadSecret("secret-env", name)
    return value


def _from_file(folder: Path, name: str) -> str:
    try:
        with (folder / name).open("rb") as file:
            data = file.read(SECRET_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        raise BadSecret("secret-file", name) from error
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise BadSecret("secret-text", name) from error
    if not text or len(data) > SECRET_BYTES_MAX or "\0" in text:
        raise BadSecret("secret-text", name)
    return text
