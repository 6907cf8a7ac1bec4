"""``linli pki``: the site's own certificate authority, certificates for brokers, gateways and devices, and an ACL file.

Keys are P-256 and belong to their user only (0600). A certificate's common name is the MQTT user name, so that
mosquitto (``use_identity_as_username``) and the ACL file speak of the same one.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.clock import SystemClock
from edge.errors import LinliError

CA_DAYS, CERT_DAYS = 3650, 825
"""Ten years for the authority, a bit over two for the rest: what browsers and auditors take."""
BACKDATED = timedelta(days=2)
"""A box whose clock is a day behind takes a new certificate at once."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
ZONES = ("building", "duty", "city", "home")


class PkiFault(LinliError):
    """What was asked cannot be done; nothing was changed."""


def make_ca(folder: Path, name: str, days: int = CA_DAYS) -> Path:
    """A new authority: ``ca.crt`` and ``ca.key``. Raises PkiFault where one is already: all would be cut off."""
    if (folder / "ca.key").exists():
        raise PkiFault(f"{folder / 'ca.key'} exists: a new authority would cut off everything that trusts the old one")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(ca=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    _save_key(folder / "ca.key", key)
    return _save(folder / "ca.crt", builder.sign(key, hashes.SHA256()))


def make_certificate(
    folder: Path, name: str, hosts: Sequence[str] = (), days: int = CERT_DAYS, begin: datetime | None = None
) -> Path:
    """``NAME.crt`` and ``NAME.key`` from the authority of the folder; a second call renews both.

    hosts: names and addresses under which others reach it (a broker); without them it is a client.
    begin: start of validity, else a little before now. Raises PkiFault.
    """
    if not NAME.fullmatch(name) or name == "ca":
        raise PkiFault(f"{name!r} is no name for a certificate (letters, digits, dot, dash; not `ca`)")
    ca, ca_key = _authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, ca.subject, key.public_key(), days, begin)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(ca=False), critical=True)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    _save_key(folder / f"{name}.key", key)
    return _save(folder / f"{name}.crt", builder.sign(ca_key, hashes.SHA256()))


def acl(zone: str, gateways: Sequence[str] = (), duty_room: str = "", devices: Sequence[str] = ()) -> str:
    """mosquitto's ACL file of one trust zone: each user may do what its part needs, and nothing else.

    zone duty: gateways have the user ``<id>-duty``; city: ``<id>-city``. devices: ``user=topic prefix`` on the
    building broker, whose gateway user ``gw`` reads everything and writes ``…/set``; zone home: names of the shares.
    Raises PkiFault.
    """
    if zone not in ZONES:
        raise PkiFault(f"{zone!r} is no zone (one of {', '.join(ZONES)})")
    lines = [f"# {zone} broker. Made by `linli pki acl`; a user that is not named here may do nothing."]
    if zone == "building":
        lines += ["", "user gw", "topic read #", "topic write +/set", "topic write +/+/set", "topic write +/+/+/set"]
        for entry in devices:
            user, _, prefix = entry.partition("=")
            lines += ["", f"user {_plain(user)}", f"topic readwrite {_plain(prefix or user)}/#"]
        return "\n".join(lines) + "\n"
    if zone == "home":
        for gateway in gateways:
            lines += ["", f"user {_plain(gateway)}-home", "topic write linli/home/#", "topic write homeassistant/#"]
        for share in devices:
            lines += ["", f"user {_plain(share)}", f"topic read linli/home/{share}/#"]
            lines += [f"topic read homeassistant/+/{share}/+/config"]
        return "\n".join(lines) + "\n"
    kinds = {"duty": ("event", "outcome", "heartbeat", "status", "site"), "city": ("summary", "fact")}[zone]
    heard = {"duty": ("receipt", "command", "duty"), "city": ("case",)}[zone]
    for gateway in gateways:
        root = f"linli/v1/{_plain(gateway)}"
        lines += ["", f"user {gateway}-{zone}"]
        lines += [f"topic write {root}/{kind}" for kind in kinds]
        lines += [f"topic read {root}/{kind}" for kind in heard]
    if duty_room:
        lines += ["", f"user {_plain(duty_room)}"]
        lines += [f"topic read linli/v1/+/{kind}" for kind in kinds]
        lines += [f"topic write linli/v1/+/{kind}" for kind in heard]
    return "\n".join(lines) + "\n"


def days_left(path: Path) -> int:
    """Whole days until the certificate ends; negative when it has. Raises PkiFault."""
    return (_read(path).not_valid_after_utc - _now()).days


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().wall_ms() / 1000, UTC)


def _plain(text: str) -> str:
    """A wildcard or a line break in a name would give rights to others."""
    if not re.fullmatch(r"[A-Za-z0-9_./-]{1,128}", text):
        raise PkiFault(f"{text!r} cannot stand in an ACL file")
    return text


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int, begin: datetime | None = None
) -> x509.CertificateBuilder:
    start = begin or _now() - BACKDATED
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(start).not_valid_after(start + BACKDATED + timedelta(days=days))


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError, TypeError) as fault:
        raise PkiFault(f"{folder / 'ca.key'}: no authority here (linli pki ca --dir {folder})") from fault
    assert isinstance(key, ec.EllipticCurvePrivateKey), "make_ca makes no other keys"
    return _read(folder / "ca.crt"), key


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise PkiFault(f"{path}: no certificate that can be read") from fault


def _save(path: Path, certificate: x509.Certificate) -> Path:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _save_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """0600 from its first moment."""
    form = serialization.PrivateFormat.PKCS8
    data = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
