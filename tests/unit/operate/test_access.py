"""What a command shows and trusts, as the variables of the SDKs say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import SettingsError
from collector.operate.access import Access
from tests.certificates import Authority

CA = "OTEL_EXPORTER_OTLP_CERTIFICATE"
CLIENT, KEY = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"


def test_headers_are_those_of_the_sdks_and_not_shown() -> None:
    """Percent-encoded, names in lower case; a secret is in no text of ours."""
    access = Access.from_environment(
        {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20secret, x-a = b"}
    )

    assert access.headers == (("authorization", "Bearer secret"), ("x-a", "b"))
    assert "secret" not in repr(access)


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


def test_a_key_of_another_certificate_is_a_wrong_setting(tmp_path: Path) -> None:
    """Told before anything is sent."""
    certificate, _ = Authority().issue("one").write(tmp_path, "one")
    _, other = Authority().issue("other").write(tmp_path, "other")

    with pytest.raises(SettingsError, match="no pair"):
        Access.from_environment({CLIENT: str(certificate), KEY: str(other)}).context()
