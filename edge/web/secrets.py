"""Secrets made at first start, and the tokens derived from them. There are no default credentials."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

TOKEN_BITS = 256
PERSON_TOKEN_BYTES = 16


def load_or_create_token(data_dir: Path) -> str:
    """The bearer token of the local API, in ``data_dir/secrets/api.token`` (0600). Made at first start."""
    return load_or_create_secret(data_dir, "api.token")


def load_or_create_secret(data_dir: Path, name: str) -> str:
    """A secret of 256 bits in ``data_dir/secrets/NAME``, readable by the owner only. Raises OSError.

    Written beside and renamed, so that a crash never leaves half a secret; an empty file counts as none.
    """
    folder = data_dir / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    if path.exists():
        os.chmod(path, 0o600)
        known = path.read_text(encoding="ascii").strip()
        if known:
            return known
    made = secrets.token_urlsafe(TOKEN_BITS // 8)
    beside = folder / f".{name}.{os.getpid()}"
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, made.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(beside, path)
    return made


def person_token(secret: str, alarm_id: str, person_id: str) -> str:
    """The ``/a/<token>`` of one person for one alarm: 128 bits that only the holder of the secret can make."""
    what = f"{len(alarm_id)}:{alarm_id}{person_id}".encode()
    digest = hmac.new(secret.encode(), what, hashlib.sha256).digest()[:PERSON_TOKEN_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
