"""What a command shows and trusts, as the variables of the SDKs say it."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from collector.errors import SettingsError
from collector.operate.access import Access
from collector.operate.endpoint import parse
from tests.certificates import Authority

CA = "OTEL_EXPORTER_OTLP_CERTIFICATE"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
CLIENT, KEY = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"


def test_headers_are_those_of_the_sdks_and_not_shown() -> None:
    """Percent-encoded, names in lower case; a secret is in no text of ours."""
    access = Access.from_environment(
        {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20secret, x-a = b"}
    )

    assert access.headers == (("authorization", "Bearer secret"), ("x-a", "b"))
    assert "secret" not in repr(access)


@pytest.mark.parametrize(
    "text",
    [
        "Bearer%20s3cret",
        "x-a=1,Bearer s3cret",
        "=s3cret",
        "authorization: Bearer s3cret=",
        "x-a=s3cret%0d%0ax-b: 1",
        "x-a=s3cret%00",
        "x-a=s3cret%09x",
        "x-a=s3cret%7f",
        "x-a=s3cret%c3%a9",
        "x%0a=s3cret",
        "host=s3cret",
        "Content-Length=3,x-a=s3cret",
    ],
)
def test_headers_that_cannot_be_sent_are_a_wrong_setting(text: str) -> None:
    """Left out silently, a key would end as UNAUTHENTICATED; the value is in no text of ours."""
    with pytest.raises(SettingsError, match=HEADERS) as caught:
        Access.from_environment({HEADERS: text})

    assert "s3cret" not in str(caught.value)


def test_no_headers_and_empty_ones_are_none() -> None:
    """A comma too many does no harm, and neither does a sign of base64."""
    assert Access.from_environment({HEADERS: ""}).headers == ()
    assert Access.from_environment({HEADERS: " , x-a=YQ==, "}).headers == (("x-a", "YQ=="),)


def test_the_option_wins_over_the_variable(tmp_path: Path) -> None:
    """The variable's file need not even be there; and only whom it names is trusted."""
    ca = Authority().write(tmp_path)

    access = Access.from_environment({CA: str(tmp_path / "none.pem")}, ca)

    assert access.ca == ca.read_bytes()
    assert len(access.context().get_ca_certs()) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """By its variable."""
    with pytest.raises(SettingsError, match=f"{CLIENT}: .*none.pem"):
        Access.from_environment({CLIENT: str(tmp_path / "none.pem")})


@pytest.mark.parametrize("content", [b"", b"no PEM", b"\xff"])
def test_a_ca_file_without_a_certificate_is_a_wrong_setting(tmp_path: Path, content: bytes) -> None:
    """An empty one, too: it must not mean the system's own."""
    file = tmp_path / "ca.pem"
    file.write_bytes(content)

    with pytest.raises(SettingsError, match=r"CA file|is empty"):
        Access.from_environment({}, file).context()
    with pytest.raises(SettingsError, match=r"CA file|is empty"):
        Access.from_environment({}, file).channel(parse("https://localhost:1"))


def test_a_key_of_another_certificate_is_a_wrong_setting(tmp_path: Path) -> None:
    """Told before anything is sent."""
    certificate, _ = Authority().issue("one").write(tmp_path, "one")
    _, other = Authority().issue("other").write(tmp_path, "other")

    access = Access.from_environment({CLIENT: str(certificate), KEY: str(other)})

    with pytest.raises(SettingsError, match="no pair"):
        access.context()
    with pytest.raises(SettingsError, match="no pair"):
        access.credentials()


def test_an_encrypted_key_asks_nobody_for_its_password(tmp_path: Path) -> None:
    """A command in a script would wait for ever."""
    certificate, file = Authority().issue("one").write(tmp_path, "one")
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )

    with pytest.raises(SettingsError, match="no pair"):
        Access.from_environment({CLIENT: str(certificate), KEY: str(file)}).context()


def test_a_key_without_a_certificate_is_a_wrong_setting(tmp_path: Path) -> None:
    """It would be left out, and the daemon would close the door without a word."""
    _, key = Authority().issue("one").write(tmp_path, "one")

    with pytest.raises(SettingsError, match=CLIENT):
        Access.from_environment({KEY: str(key)})


def test_one_file_may_hold_certificate_and_key(tmp_path: Path) -> None:
    """Over gRPC too, which takes them one by one."""
    pair = Authority().issue("one")
    both = tmp_path / "both.pem"
    both.write_bytes(pair.certificate + pair.key)
    access = Access.from_environment({CLIENT: str(both)})

    assert (access.certificate, access.key) == (both.read_bytes(), None)
    assert isinstance(access.context(), ssl.SSLContext)
    assert isinstance(access.credentials(), grpc.ChannelCredentials)


def test_words_around_a_certificate_may_be_any(tmp_path: Path) -> None:
    """Bundles name their issuers in their own languages."""
    file = tmp_path / "ca.pem"
    file.write_bytes("# Autorité\n".encode() + Authority().pem)

    assert len(Access.from_environment({}, file).context().get_ca_certs()) == 1
