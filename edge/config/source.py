"""A file being checked: its path, how findings call it, its folder for relative paths, and its secrets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from edge.config.document import FILE_BYTES_MAX, Tree, parse_yaml
from edge.config.report import Report
from edge.config.schema import BrokerForm
from edge.config.secret import BadSecret, Secret, refers, resolve
from edge.config.settings import BrokerSettings

BROKER_SCHEMES = ("mqtt", "mqtts")
_SERVICE = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_NUMBER = re.compile(r"sms:\+?[0-9]{5,20}")
_HERE = ("127.0.0.1", "localhost", "[::1]", "::1")


class Source:
    """One file. name: the path as the person typed it."""

    def __init__(self, path: Path, report: Report) -> None:
        self.name = str(path)
        self.path = path
        self.folder = path.parent.absolute()
        self.report = report

    def tree(self) -> tuple[bytes, Tree | None]:
        """The bytes and their tree, whose top is a mapping; None after a finding."""
        try:
            with self.path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            self.report.error(self.name, 1, 1, "bad-value", "file-unreadable", why=why)
            return b"", None
        tree = parse_yaml(data, self.name, self.report)
        if tree is not None and not isinstance(tree.value, dict):
            words = ("a list", "列表") if isinstance(tree.value, list) else ("one value", "单个值")
            wanted = {"en": "keys and values", "zh": "键值"}[self.report.lang]
            found = words[self.report.lang == "zh"]
            self.report.error(self.name, tree.line, tree.column, "wrong-type", "wrong-type", found=found, wanted=wanted)
            return data, None
        return data, tree

    def beside(self, text: str) -> Path:
        """A path of the file, taken relative to the file."""
        return Path(self.folder, text)

    def secret(self, tree: Tree | None) -> Secret | None:
        """The text with its secrets put in; None after a finding or when there is nothing."""
        if tree is None or not isinstance(tree.value, str):
            return None
        try:
            return resolve(tree.value, self.folder)
        except BadSecret as bad:
            self.report.error(tree.file, tree.line, tree.column, "bad-secret", bad.key, value=bad.name)
            return None

    def password(self, tree: Tree | None) -> Secret | None:
        """As secret, but the text may not stand in the file itself."""
        if tree is not None and isinstance(tree.value, str) and not refers(tree.value):
            self.report.error(tree.file, tree.line, tree.column, "bad-secret", "secret-plain")
            return None
        return self.secret(tree)

    def tell(self, tree: Tree) -> Secret | None:
        """One Apprise URL, a secret when it is not to this very machine; or sms:NUMBER."""
        url = self.secret(tree)
        if url is None:
            return None
        if _NUMBER.fullmatch(url.reveal().strip()):
            return url
        at = (tree.file, tree.line, tree.column)
        if not _SERVICE.fullmatch(url.reveal().strip()):
            self.report.error(*at, "bad-value", "tell-url")
            return None
        if not refers(tree.value) and _host(url.reveal()) not in _HERE:
            self.report.warning(*at, "bad-secret", "secret-plain")
        return url

    def urls(self, tree: Tree | None, schemes: Sequence[str] = BROKER_SCHEMES) -> tuple[str, ...]:
        """Addresses of brokers (or of these schemes), one or a list; faulty ones become findings."""
        if tree is None:
            return ()
        found: list[str] = []
        for item in tree.value if isinstance(tree.value, list) else [tree]:
            url = self.secret(item)
            if url is None:
                continue
            if not _is_address(url.reveal(), schemes):
                key = "url" if "mqtt" in schemes else "http-url"
                self.report.error(item.file, item.line, item.column, "bad-value", key, value=item.value)
            elif "@" in url.reveal():
                self.report.error(item.file, item.line, item.column, "bad-secret", "secret-plain")
            else:
                found.append(url.reveal())
        return tuple(found)

    def certificate(self, tree: Tree | None) -> Path | None:
        """The PEM file of an authority, a certificate or its key."""
        if tree is None or not isinstance(tree.value, str):
            return None
        path = self.beside(tree.value)
        if not path.is_file():
            self.report.error(tree.file, tree.line, tree.column, "bad-value", "ca-missing", value=tree.value)
            return None
        return path

    def broker(self, tree: Tree | None, form: BrokerForm | None) -> BrokerSettings | None:
        """A broker's settings; findings for its address and secrets."""
        if tree is None or form is None:
            return None
        return BrokerSettings(
            self.urls(tree.get("url")),
            form.username,
            self.password(tree.get("password")),
            self.certificate(tree.get("ca")),
            self.certificate(tree.get("cert")),
            self.certificate(tree.get("key")),
        )

    def timezone(self, tree: Tree | None) -> None:
        """A finding unless the zone exists."""
        if tree is None or not isinstance(tree.value, str):
            return
        try:
            ZoneInfo(tree.value)
        except (LookupError, ValueError, OSError):
            self.report.error(tree.file, tree.line, tree.column, "bad-value", "timezone", value=tree.value)

    def listen(self, tree: Tree | None, text: str) -> tuple[str, int]:
        """HOST:PORT as its parts."""
        host, _, port = text.rpartition(":")
        if int(port) > 65535 and tree is not None:
            self.report.error(tree.file, tree.line, tree.column, "bad-value", "listen", value=text)
        return host.strip("[]"), int(port)


def unique(trees: Sequence[tuple[str, Tree]], report: Report) -> None:
    """A finding for every id that came before; trees: id and where it stands."""
    first: dict[str, Tree] = {}
    for value, tree in trees:
        if value in first:
            there = first[value]
            where = there.file if "!" in there.file else f"{there.file}:{there.line}"
            report.error(tree.file, tree.line, tree.column, "duplicate-id", "duplicate-id", value=value, where=where)
        else:
            first[value] = tree


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_address(url: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in schemes
        and bool(parts.hostname)
        and (port is None or port > 0)
        and (parts.path in ("", "/") or "http" in schemes)
    )
