"""What can be set, where, and what happens to a mistake."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge.config import Settings, UnknownVariableError, load, nats_servers


def test_the_defaults_listen_on_loopback_and_bring_a_server_of_their_own() -> None:
    settings = load()

    assert settings.host == "127.0.0.1"
    assert settings.nats_url == "embedded"
    assert settings.allowed_origins == ()


def test_variables_set_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_PORT", "9000")
    monkeypatch.setenv("bridge_log_format", "json")
    monkeypatch.setenv("BRIDGE_EXTRA_FAMILIES", "invoice, shipment,,")
    settings = load()

    assert settings.port == 9000
    assert settings.log_format == "json"
    assert settings.extra_families == ("invoice", "shipment")


def test_a_file_sets_fields_and_a_variable_wins_over_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(
        'port = 9000\nhost = "::1"\nallowed_origins = ["https://a.example", "https://b.example"]\n'
    )
    monkeypatch.setenv("BRIDGE_CONFIG", str(file))
    monkeypatch.setenv("BRIDGE_PORT", "9001")
    settings = load()

    assert (settings.host, settings.port) == ("::1", 9001)
    assert settings.allowed_origins == ("https://a.example", "https://b.example")


def test_an_argument_wins_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_PORT", "9000")

    assert load(port=1).port == 1


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_PROT", "9000")
    monkeypatch.setenv("BRIDGE_HOTS", "::1")

    with pytest.raises(UnknownVariableError, match=r"BRIDGE_HOTS.*, BRIDGE_PROT"):
        load()


def test_an_unknown_key_in_the_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text("prot = 9000\n")
    monkeypatch.setenv("BRIDGE_CONFIG", str(file))

    with pytest.raises(ValidationError, match="prot"):
        load()


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BRIDGE_CONFIG", str(tmp_path / "absent.toml"))

    with pytest.raises(UnknownVariableError, match=r"absent\.toml"):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "http"),
        ("NATS_URL", ""),
        ("NATS_URL", "nats://"),
        ("NATS_URL", "nats.example:client"),
        ("NATS_URL", "http://127.0.0.1:4222"),
        ("NATS_URL", "nats://a:4222,nats://b:70000"),
        ("PREFIX", "api/"),
        ("STREAM_NAME", "CREW.EVENTS"),
        ("STREAM_STORAGE", "tape"),
        ("RING_BYTES", "0"),
        ("HEARTBEAT_SECONDS", "-1"),
        ("FEED_HEARTBEAT_SECONDS", "0.01"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_with_its_field(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"BRIDGE_{name}", value)

    with pytest.raises(ValidationError) as refused:
        load()
    assert [error["loc"] for error in refused.value.errors()] == [(name.lower(),)]


@pytest.mark.parametrize(
    "urls",
    [
        "embedded",
        "nats.example",
        "127.0.0.1:4222",
        "nats://user:p%40ss@[::1]:4222, tls://nats.example",
        "wss://nats.example/path",
    ],
)
def test_what_the_nats_client_takes_is_taken(urls: str) -> None:
    assert nats_servers(urls) == urls


def test_a_url_that_is_refused_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_NATS_URL", "natz://bob:hunter2@nats.example")

    with pytest.raises(ValidationError) as refused:
        load()
    (error,) = refused.value.errors(include_input=False)
    assert "hunter2" not in error["msg"]


def test_a_family_that_cannot_be_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_EXTRA_FAMILIES", "invoice,two words")

    with pytest.raises(ValidationError, match=r"extra_families\.1"):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("PUBLIC_URL", url)
            for url in ("dash.example", "ftp://a.example", "https://", "https://me@a.example")
        ),
        *(("PUBLIC_URL", url) for url in ("https://a.example:0", "https://a.example:port")),
        *(("ALLOWED_HOSTS", host) for host in ("http://a.example", "a.example:80", "a.example/", "*.a")),
    ],
)
def test_a_name_or_address_of_the_bridge_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"BRIDGE_{name}", value)

    with pytest.raises(ValidationError, match=name.lower()):
        load()


def test_names_and_addresses_of_the_bridge_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ALLOWED_HOSTS", "a.example, crew_bridge,*")
    assert load().allowed_hosts == ("a.example", "crew_bridge", "*")
    for url in ("https://a.example", "http://a.example:8000/crews/", "https://[2001:db8::1]"):
        monkeypatch.setenv("BRIDGE_PUBLIC_URL", url)
        assert load().public_url == url


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "a.example", "https://A.example", "https://a.example/page"]
)
def test_an_origin_that_no_browser_sends_is_refused(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("BRIDGE_ALLOWED_ORIGINS", f"https://b.example,{origin}")

    with pytest.raises(ValidationError, match=r"allowed_origins\.1"):
        load()


def test_an_origin_as_browsers_send_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    origins = ("https://a.example", "http://[::1]:5173", "chrome-extension://abcdef", "null", "*")
    monkeypatch.setenv("BRIDGE_ALLOWED_ORIGINS", ", ".join(origins))

    assert load().allowed_origins == origins


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]  # that is what is refused


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("LOG_LEVEL", "INFO", "info"),
        ("LOG_FORMAT", "JSON", "json"),
        ("STREAM_MAX_BYTES", "1GiB", 1024**3),
        ("RING_BYTES", "512MiB", 512 * 1024**2),
        ("BUFFER_BYTES", "1000", 1000),
        ("STREAM_MAX_AGE_SECONDS", "10m", 600.0),
        ("STREAM_MAX_AGE_SECONDS", "7d", 7 * 86400.0),
        ("MAX_DELAY_SECONDS", "25ms", 0.025),
        ("FEED_HEARTBEAT_SECONDS", "1.5 s", 1.5),
        ("HEALTH_SECONDS", "0", 0.0),
    ],
)
def test_what_can_mean_one_thing_only_is_taken(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, meant: object
) -> None:
    monkeypatch.setenv(f"BRIDGE_{name}", value)

    assert getattr(load(), name.lower()) == meant


def test_the_name_that_was_meant_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_PROT", "9000")
    monkeypatch.setenv("BRIDGE_ZZZ", "1")

    with pytest.raises(
        UnknownVariableError, match=r"BRIDGE_PROT \(did you mean BRIDGE_PORT\?\), BRIDGE_ZZZ$"
    ):
        load()


def test_servers_that_the_client_cannot_use_together_are_refused() -> None:
    with pytest.raises(ValueError, match="not WebSocket and others in one list"):
        nats_servers("nats://a:4222, ws://b:80")
