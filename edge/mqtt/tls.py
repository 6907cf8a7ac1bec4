"""TLS towards the outside: own authority, own certificate, a clock that may be at 1970, and faults in plain words."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.errors import Denied
from edge.limits import CLOCK_FLOOR_MS

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python has no name for it."""
_VALIDITY = re.compile(rb"\x30.(?:\x17\x0d(\d{12})|\x18\x0f(\d{14}))Z(?:\x17\x0d(\d{12})|\x18\x0f(\d{14}))Z", re.DOTALL)
"""SEQUENCE { notBefore, notAfter } of X.509, each as UTCTime or GeneralizedTime."""
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_VERIFY = {
    9: "its certificate is not valid yet (is our clock right?)",
    10: "its certificate has expired (renew it there)",
    18: "its certificate is signed by itself, not by our authority (is `ca` the right file?)",
    19: "its certificate comes from another authority than ours (is `ca` the right file?)",
    20: "its certificate comes from another authority than ours (is `ca` the right file?)",
    21: "its certificate comes from another authority than ours (is `ca` the right file?)",
    23: "its certificate has been revoked",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
_ALERTS = {
    "EXPIRED": "it says that our certificate has expired (renew it: linli pki)",
    "UNKNOWN_CA": "it does not know the authority of our certificate (is `cert` from the right authority?)",
    "CERTIFICATE_REQUIRED": "it asks for a certificate of ours (set `cert` and `key`)",
    "BAD_CERTIFICATE": "it refuses our certificate",
    "REVOKED": "it says that our certificate has been revoked",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "RECORD_LAYER_FAILURE": "it does not speak TLS on this port",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a TLS link. ca: the authority trusted, else the system's. cert and key: our own certificate."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def context(self, now_ms: int) -> ssl.SSLContext:
        """A fresh context for one connection. Raises Denied when our own files cannot be used.

        With our own authority a clock before CLOCK_FLOOR_MS is no reason to be cut off: the chain and the host are
        checked as ever, the dates are not, until the clock has been set.
        """
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        except (OSError, ssl.SSLError) as fault:
            raise Denied(f"{self.ca}: not a certificate authority: {fault}") from fault
        if self.ca is not None and now_ms < CLOCK_FLOOR_MS:
            context.verify_flags = ssl.VerifyFlags(int(context.verify_flags) | _NO_CHECK_TIME)
        if self.cert is not None:
            self._check_own(now_ms)
            try:
                context.load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as fault:
                raise Denied(f"{self.cert}: our certificate and its key do not fit or cannot be read") from fault
        return context

    def _check_own(self, now_ms: int) -> None:
        """Say it here, not by a broker that just hangs up."""
        assert self.cert is not None
        valid = validity(self.cert)
        if valid is not None and now_ms > valid[1]:
            day = datetime.fromtimestamp(valid[1] / 1000, UTC).date()
            raise Denied(f"our certificate {self.cert.name} has expired on {day} (renew it: linli pki)")


def validity(path: Path) -> tuple[int, int] | None:
    """From when to when (ms) the first certificate of a PEM file is valid; None when it cannot be read."""
    try:
        found = _CERTIFICATE.search(path.read_text(encoding="ascii", errors="replace"))
        der = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(found[0])) if found else None
    except (OSError, ValueError):
        return None
    if der is None:
        return None
    first, last = _moment(der[1], der[2]), _moment(der[3], der[4])
    return (first, last) if first is not None and last is not None else None


def _moment(short: bytes | None, long: bytes | None) -> int | None:
    """UTCTime has two digits for the year: 50 and above are of the last century."""
    text = long.decode() if long is not None else (short or b"").decode()
    if long is None:
        text = ("19" if text >= "50" else "20") + text
    try:
        return round(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


def plain(fault: ssl.SSLError) -> str:
    """What a TLS fault means, for whoever has to mend it."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"not trusted: {_VERIFY.get(fault.verify_code, fault.verify_message)}"
    reason = (fault.reason or str(fault)).upper()
    return next((words for mark, words in _ALERTS.items() if mark in reason), f"TLS: {fault.reason or fault}")
