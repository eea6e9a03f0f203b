"""What keeps somebody from NATS is said with what to do about it, and without credentials."""

import ssl
from socket import gaierror

import pytest

from contracts.nats_faults import denied, is_vague, no_connection

SETTING = "BRIDGE_NATS_URL"


def _untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("CERTIFICATE_VERIFY_FAILED")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("nats: 'Authorization Violation'"), "refuses the credentials in BRIDGE_NATS_URL"),
        (RuntimeError("nats: authorization failed"), "refuses the credentials in BRIDGE_NATS_URL"),
        (RuntimeError("nats: user authentication expired"), "refuses the credentials in BRIDGE_NATS_URL"),
        (RuntimeError("nats: maximum connections exceeded"), "raise its max_connections"),
        (_untrusted(), "is not trusted (self-signed certificate): name the file of its authority"),
        (ssl.SSLError(1, "wrong version"), "no TLS with NATS"),
        (RuntimeError("nats: empty response from server when expecting INFO message"), "is no NATS server"),
        (gaierror(-2, "Name or service not known"), "(its name has no address): start it, or correct"),
        (TimeoutError(), "(no answer in time)"),
        (ConnectionRefusedError(111, "Connect call failed ('h', 1)"), "(Connection refused)"),
        (OSError("Multiple exceptions: nats://a:b@h"), "(Multiple exceptions: nats://h)"),
        (EOFError(), "(EOFError)"),
    ],
)
def test_what_came_instead_of_a_connection_is_said_with_what_to_do(error: Exception, words: str) -> None:
    line = no_connection(error, "nats://crew:s3cret@host:4222", SETTING)

    assert words in line
    assert "nats://host:4222" in line
    assert "s3cret" not in line


@pytest.mark.parametrize("server", ["host", "nats://host:4222"])
def test_who_has_given_no_credentials_is_told_how_to(server: str) -> None:
    line = no_connection(RuntimeError("nats: 'Authorization Violation'"), server, SETTING)

    assert "BRIDGE_NATS_URL has none for it: put them in, as in nats://user:password@host:4222" in line


def test_credentials_of_an_address_without_a_scheme_are_seen() -> None:
    line = no_connection(RuntimeError("nats: 'Authorization Violation'"), "a:b@host", SETTING)

    assert "refuses the credentials" in line


def test_what_only_says_that_a_connection_has_ended_is_vague() -> None:
    assert is_vague(ConnectionResetError())
    assert not is_vague(ConnectionRefusedError())


def test_what_is_denied_is_found_in_the_words_of_the_server() -> None:
    assert denied(RuntimeError("-ERR 'Permissions Violation for Publish to \"A.b\"'")) == 'Publish to "A.b"'
    assert denied(RuntimeError("nats: timeout")) is None
