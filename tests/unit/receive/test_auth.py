"""Which text of a request's head is its key, and which names a certificate has."""

from __future__ import annotations

import pytest

from collector.errors import ForbiddenError, UnauthenticatedError
from collector.receive.auth import Gate, find_token, names_of_grpc, names_of_peer
from collector.receive.token import Token
from collector.settings import TlsSettings

KEY = Token("0123456789abcdef", "c0ffee42" * 8).text


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Bearer {KEY}")],
        [("authorization", f"bearer {KEY}")],
        [("authorization", f"BEARER    {KEY}")],
        [("x-api-key", KEY)],
        [("user-agent", "x"), ("x-api-key", KEY), ("traceparent", "00-0")],
    ],
)
def test_the_one_credential_is_found(headers: list[tuple[str, str | bytes]]) -> None:
    """In either header, whatever the case of the scheme."""
    assert find_token(headers) == KEY


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", KEY)],
        [("authorization", f"Bearer{KEY}")],
        [("authorization", f"Bearer\t{KEY}")],
        [("authorization", f" Bearer {KEY}")],
        [("authorization", f"Bearer {KEY} ")],
        [("authorization", f"Bearer {KEY} x")],
        [("authorization", f"Basic {KEY}")],
        [("authorization", f"Bearer {KEY}".encode())],
        [("x-api-key", KEY.encode())],
        [("x-api-key", KEY), ("x-api-key", KEY)],
        [("authorization", f"Bearer {KEY}"), ("x-api-key", KEY)],
        [("authorization", "Basic x"), ("x-api-key", KEY)],
        [("x-api-key-bin", KEY)],
    ],
)
def test_anything_else_is_no_credential(headers: list[tuple[str, str | bytes]]) -> None:
    """None, several, or another form: the caller is unknown, and no text of theirs is quoted."""
    with pytest.raises(UnauthenticatedError) as caught:
        find_token(headers)

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "otlpg_", KEY[:-1], KEY + "0", KEY.upper(), KEY + "\n", " " + KEY, KEY.replace("_", "-"),
     "x" * 1_000_000, KEY[:-1] + "\u0663", KEY[:-1] + "\0"],
)  # fmt: skip
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    """Exactly the form that we give out, in ASCII."""
    with pytest.raises(UnauthenticatedError):
        Token.parse(text)


def test_a_key_comes_back_from_its_text_and_is_not_shown_by_accident() -> None:
    """256 bits, all of them in the text; ``repr`` leaves the secret out."""
    token = Token.new()

    assert Token.parse(token.text) == token
    assert len(token.secret) == 64
    assert len(token.hash) == 32
    assert token.secret not in repr(token) + f"{token}"
    assert Token.new() != token


def test_names_are_the_same_in_both_protocols() -> None:
    """Every subject alternative name, and the common name only where there is none."""
    over_http = {
        "subject": ((("countryName", "XX"),), (("commonName", "shop"),)),
        "subjectAltName": (("DNS", "a.example.com"), ("URI", "spiffe://a")),
    }
    over_grpc = {
        "x509_common_name": [b"shop"],
        "x509_subject_alternative_name": [b"a.example.com", b"spiffe://a"],
    }

    assert names_of_peer(over_http) == names_of_grpc(over_grpc) == ["a.example.com", "spiffe://a"]
    del over_http["subjectAltName"]
    del over_grpc["x509_subject_alternative_name"]
    assert names_of_peer(over_http) == names_of_grpc(over_grpc) == ["shop"]
    assert names_of_peer(None) == names_of_grpc({}) == []


async def test_a_name_that_is_not_on_the_list_stays_out() -> None:
    """Without a list the CA's word is enough; neither is asked for more than is needed."""
    settings = TlsSettings.model_construct(client_names=["shop"])
    gate = Gate(settings, None)

    assert await gate.admit(list, lambda: ["other", "shop"]) == b""
    for names in (["other"], []):
        with pytest.raises(ForbiddenError):
            await gate.admit(list, lambda names=names: names)
