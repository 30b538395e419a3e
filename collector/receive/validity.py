"""When a certificate ends, read from its own bytes.

Python's ``ssl`` tells it of the other side of a connection only, and a package for X.509 would come
into every installation for this one field.

Spec: RFC 5280, section 4.1: Certificate, TBSCertificate, Validity; X.690 for lengths.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Final

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17


def not_after_unix_s(pem: bytes) -> float:
    """Return when the first certificate of a PEM file ends.

    Units: seconds since 1970-01-01 UTC.

    Raises:
        ValueError: there is no certificate in it.
    """
    begin = pem.index(_BEGIN)
    end = pem.index(_END, begin) + len(_END)
    der = ssl.PEM_cert_to_DER_cert(pem[begin:end].decode("ascii"))
    _, certificate, _ = _element(der)
    _, fields, _ = _element(certificate)
    tag, _, rest = _element(fields)
    if tag == _VERSION:  # left out by version 1
        _, _, rest = _element(rest)
    for _ in range(2):  # signature algorithm, issuer; the serial number is gone already
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)
    tag, time, _ = _element(rest)
    digits = time.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:  # two digits for 1950 to 2049
        digits = ("19" if digits >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the tag and content of the first element, and what follows it."""
    if len(data) < 2:
        raise ValueError("an element is missing")
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("an element is cut")
    return tag, data[start : start + length], data[start + length :]
