"""Credentials in addresses of NATS servers are what the server compares, and are shown to nobody."""

import pytest

from contracts.servers import hidden, login, servers, without_credentials


@pytest.mark.parametrize(
    ("urls", "found"),
    [
        (["nats://crew:secret@host:4222"], {"user": "crew", "password": "secret"}),
        (["nats://crew:s%40c%2Fr%3At%2C%25@host"], {"user": "crew", "password": "s@c/r:t,%"}),
        (["nats://cr%20ew:p@ss@host"], {"user": "cr ew", "password": "p@ss"}),
        (["nats://crew:@host"], {"user": "crew", "password": ""}),
        (["nats://to%2Fken@host"], {"token": "to/ken"}),
        (["nats://:secret@host"], {}),
        (["nats://a:4222", "nats://crew:secret@b:4222"], {"user": "crew", "password": "secret"}),
        (["nats://a:4222"], {}),
        ([], {}),
    ],
)
def test_what_is_in_an_address_is_decoded(urls: list[str], found: dict[str, str]) -> None:
    assert login(urls) == found


@pytest.mark.parametrize(
    ("urls", "shown"),
    [
        ("nats://crew:secret@host:4222", "nats://host:4222"),
        ("nats://crew:sec@ret@host:4222,tls://token@b", "nats://host:4222,tls://b"),
        ("crew:secret@host:4222, token@b", "host:4222,b"),
        ("nats://crew:1/secret@host:4222", "nats://host:4222"),
        ("nats://host:4222,nats://[::1]:4222", "nats://host:4222,nats://[::1]:4222"),
    ],
)
def test_addresses_are_shown_without_credentials(urls: str, shown: str) -> None:
    assert without_credentials(urls) == shown


def test_an_error_that_quotes_an_address_keeps_its_credentials_to_itself() -> None:
    text = "400, message='no', url='ws://crew:sec@ret@host:80/', 'wss://token@b' for a@b"
    assert hidden(text) == "400, message='no', url='ws://host:80/', 'wss://b' for a@b"


@pytest.mark.parametrize(
    "urls",
    [
        "nats.example",
        "127.0.0.1:4222",
        "nats://user:p%40ss@[::1]:4222, tls://nats.example",
        "wss://nats.example/path,ws://nats.example",
    ],
)
def test_addresses_that_the_nats_client_can_use_are_taken_as_they_are(urls: str) -> None:
    assert servers(urls) == urls


@pytest.mark.parametrize(
    "urls",
    [
        "", " ", ",", "nats://a,", "nats://", ":4222", "http://a", "NATS://a", "nats:/a", "nats://a:port",
        "nats://a:99999", "nats://a:0", "nats://[::1", "two words", "none", "nats://a,wss://b",
    ],
)  # fmt: skip
def test_addresses_that_the_nats_client_could_not_use_are_refused(urls: str) -> None:
    with pytest.raises(ValueError, match="nats://host:4222"):
        servers(urls)
