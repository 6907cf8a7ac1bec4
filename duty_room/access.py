"""Who may do what: bearer tokens, one-time sign-in links, browser sessions, links of persons. No password exists.

Every secret is random or derived from the key file, and only its SHA-256 is stored: with 128 bits or more there is
nothing to guess, so a slow hash would add nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orjson
from sqlalchemy import Connection, Row, delete, func, select, update

from duty_room.limits import SESSION_IDLE_S, SESSION_MAX_S, SIGN_IN_S
from duty_room.settings import Settings
from duty_room.store import tables as t
from duty_room.store.store import Store, Tx

ROLES = ("viewer", "duty_officer", "administrator")
"""Each may do what the ones before it may."""
COOKIE = "linli_session"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. csrf is set exactly for browser sessions. key names the grant without revealing it.

    name is the account; shift holds the names of the people on duty at that console, empty before they said so.
    """

    key: str
    role: str
    name: str
    csrf: str | None
    shift: tuple[str, ...] = ()

    def may(self, role: str) -> bool:
        """Does this role reach as far as that one?"""
        return ROLES.index(self.role) >= ROLES.index(role)


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """256 bits, safe in a URL and a header."""
    return secrets.token_urlsafe(32)


def key_file(data_dir: Path) -> bytes:
    """The key behind personal links, made at first use, 0600."""
    folder = data_dir / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "links.key"
    if not path.exists():
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return path.read_bytes()
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
    return path.read_bytes()


def derived(key: bytes, *parts: str) -> str:
    """128 bits from the key: a link can be sent again under the same name though only its hash is stored."""
    raw = hmac.new(key, "\x00".join(parts).encode(), hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# -------------------------------------------------------------------------------- grants
def _grant(tx: Tx, kind: str, role: str, name: str, life_s: float | None, csrf: str | None = None) -> str:
    if role not in ROLES:
        raise ValueError(f"role {role!r} does not exist (take one of {', '.join(ROLES)})")
    secret = new_secret()
    expires = tx.now_ms + round(life_s * 1000) if life_s is not None else None
    row = {"hash": digest(secret), "kind": kind, "role": role, "name": name, "csrf": csrf, "made_ms": tx.now_ms}
    tx.conn.execute(t.grants.insert(), {**row, "expires_ms": expires})
    tx.chain.append(tx.now_ms, "access", f"{kind}_made", None, {"role": role, "name": name, "expires_ms": expires})
    return secret


def grant_token(tx: Tx, role: str, name: str, days: float | None) -> str:
    """A bearer token; days None: until revoked."""
    return _grant(tx, "token", role, name, days * 86400.0 if days is not None else None)


def grant_sign_in(tx: Tx, role: str, name: str) -> str:
    """A link that signs one browser in, once."""
    return _grant(tx, "sign_in", role, name, SIGN_IN_S)


def _live(conn: Connection, kind: str, secret: str, now_ms: int) -> Row[tuple[str, ...]] | None:
    row = conn.execute(select(t.grants).where((t.grants.c.hash == digest(secret)) & (t.grants.c.kind == kind))).first()
    if row is None or (row.expires_ms is not None and now_ms >= row.expires_ms):
        return None
    return row


def sign_in(tx: Tx, secret: str) -> tuple[str, Principal] | None:
    """Use a sign-in link: returns the session's secret. None: unknown, used before or too old."""
    row = _live(tx.conn, "sign_in", secret, tx.now_ms)
    if row is None or row.used_ms is not None:
        return None
    tx.conn.execute(update(t.grants).where(t.grants.c.hash == row.hash).values(used_ms=tx.now_ms))
    csrf = new_secret()
    session = _grant(tx, "session", row.role, row.name, SESSION_MAX_S, csrf)
    touch(tx, session)
    return session, Principal(digest(session)[:16], row.role, row.name, csrf)


def touch(tx: Tx, session: str) -> None:
    """The session was used: its idle time starts anew."""
    tx.conn.execute(update(t.grants).where(t.grants.c.hash == digest(session)).values(used_ms=tx.now_ms))


def end_session(tx: Tx, session: str) -> None:
    """Sign out."""
    tx.conn.execute(delete(t.grants).where((t.grants.c.hash == digest(session)) & (t.grants.c.kind == "session")))


def by_token(conn: Connection, secret: str, now_ms: int) -> Principal | None:
    """Who holds this bearer token."""
    row = _live(conn, "token", secret, now_ms)
    return Principal(row.hash[:16], row.role, row.name, None) if row else None


def by_session(conn: Connection, secret: str, now_ms: int) -> tuple[Principal, int] | None:
    """Whose browser session this is, and when it was last used. None when it is over."""
    row = _live(conn, "session", secret, now_ms)
    if row is None:
        return None
    used = int(row.used_ms or row.made_ms)
    if now_ms - used >= SESSION_IDLE_S * 1000:
        return None
    shift = tuple(orjson.loads(row.shift)) if row.shift else ()
    return Principal(row.hash[:16], row.role, row.name, row.csrf, shift), used


def set_shift(tx: Tx, session: str, principal: Principal, names: Sequence[str]) -> None:
    """The people on duty at this console, first the one whose name the steps carry. Empty: the shift has ended.

    The account that says so stays in the log, beside who was on duty before.
    """
    held = (t.grants.c.hash == digest(session)) & (t.grants.c.kind == "session")
    tx.conn.execute(update(t.grants).where(held).values(shift=orjson.dumps(list(names)).decode()))
    facts = {"names": list(names), "before": list(principal.shift), "session": principal.key}
    tx.chain.append(tx.now_ms, "access", "shift", principal.name, facts)


def never_signed_in(conn: Connection) -> bool:
    """First start: no grant was ever made."""
    return conn.execute(select(func.count()).select_from(t.grants)).scalar() == 0


# -------------------------------------------------------------------------------- for the command line
def _with_store(settings: Settings, work: Callable[[Tx], T]) -> T:
    os.umask(0o077)  # The command may be the first to touch the folder: whatever it makes is for its user only.
    store = Store(settings.data_dir, settings.database, wall_ms=lambda: time.time_ns() // 1_000_000)
    try:
        store.open()
        return store.write_now(work)
    finally:
        store.close()


def make_token(settings: Settings, role: str, name: str, days: float | None = None) -> str:
    """A new bearer token; works beside a running duty room. Raises ValueError for an unknown role."""
    return _with_store(settings, lambda tx: grant_token(tx, role, name, days))


def make_sign_in(settings: Settings, role: str = "administrator", name: str = "administrator") -> str:
    """A new one-time sign-in link (URL); works beside a running duty room."""
    secret = _with_store(settings, lambda tx: grant_sign_in(tx, role, name))
    return sign_in_url(settings.public_url, secret)


def sign_in_url(public_url: str, secret: str) -> str:
    """Where a sign-in secret is used."""
    return f"{public_url.rstrip('/')}/sign-in/{secret}"
