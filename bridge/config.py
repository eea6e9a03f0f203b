"""The configuration: one frozen model, read from ``BRIDGE_*`` variables or a TOML file."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from operator import add
from pathlib import Path
from socket import gethostname
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, TypeAdapter, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from contracts.servers import servers

PREFIX = "BRIDGE_"
FILE_VARIABLE = "BRIDGE_CONFIG"
"""Names the TOML file; its keys are the fields below. A variable wins over the file."""

EMBEDDED: Final = "embedded"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")
_DURATION: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)\s*")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTE_SIZE: Final = TypeAdapter(ByteSize)
_NEAR: Final = 0.75
"""How alike two names are of which one may be meant by the other."""
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_SPECIAL_ORIGINS: Final = frozenset({"*", "null"})

Names = Annotated[tuple[str, ...], NoDecode]
"""In a variable: separated by commas."""
Family = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


def _small(value: object) -> object:
    """In small letters, where it is text."""
    return value.lower() if isinstance(value, str) else value


def _bytes(value: object) -> object:
    """Bytes of a number with a unit, as ``512MiB``; without one it is pydantic's to judge."""
    return int(_BYTE_SIZE.validate_python(value)) if isinstance(value, str) else value


def _seconds(value: object) -> object:
    """Seconds of a number with a unit, as ``10m``; anything else is pydantic's to judge."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) * _UNITS[found[2]] if found else value


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A number of seconds, or with a unit: ``500ms``, ``10m``, ``7d``."""
Positive = Annotated[Seconds, Field(gt=0)]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(gt=0)]
"""A number of bytes, or with a unit: ``512MiB``."""


def nats_servers(urls: str) -> str:
    """``urls`` as they are; `ValueError`, without a quote, where the NATS client could not use one."""
    return urls if urls == EMBEDDED else servers(urls)


def _origin(text: str) -> str:
    """As browsers send it; anything else would let nobody in, and not say so."""
    if text not in _SPECIAL_ORIGINS and not _ORIGIN.fullmatch(text):
        raise ValueError(
            "must be origins as browsers send them, like https://dashboard.example, without a path"
        )
    return text


def _host(text: str) -> str:
    if text != "*" and not _HOST.fullmatch(text):
        raise ValueError("must be names like bridge.example, without scheme, port or path")
    return text


def _public_url(text: str) -> str:
    """The address of the bridge, for browsers."""
    wrong = ValueError("must be an address for browsers, like https://bridge.example/crews")
    try:
        parts = urlsplit(text)
        is_right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        raise wrong from None
    if not is_right or "@" in parts.netloc:
        raise wrong
    return text


class UnknownVariableError(ValueError):
    """A ``BRIDGE_*`` variable that means nothing, probably misspelt, or names a file that is not there."""


class Settings(BaseSettings):
    """Everything that can be set. The defaults run on a laptop, on loopback only."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", case_sensitive=False)

    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] | None = None
    """This bridge's name among the others of its stream; by default the host's and the process's."""
    gather_seconds: Positive = 1.0
    """How long the other bridges have to answer what an operator asks."""

    nats_url: Annotated[str, AfterValidator(nats_servers), Field(repr=False)] = EMBEDDED
    """``embedded`` starts a nats-server of its own; otherwise one or several URLs, separated by commas.

    Credentials in them are shown nowhere; what URLs reserve is encoded there, as ``%40`` for ``@``.
    """
    data_dir: Path = Path(".crew-bridge")
    """Where the embedded nats-server keeps the stream."""
    embedded_port: Annotated[int, Field(ge=0, le=65535)] = 4222
    """Where the embedded nats-server listens, on loopback; 0: any free port."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0: any free port."""
    reuse_port: bool = False
    """Other processes may listen on the same port; the kernel shares out who connects."""
    operator_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Another port, for ``/metrics``, ``/healthz`` and ``/readyz`` of this process alone; 0: any free one."""
    prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = "/api/v1/websocket"
    allowed_origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode] = ()
    """Origins of pages that may connect besides the bridge's own; ``*`` allows all."""
    allowed_hosts: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], NoDecode] = ()
    """Names by which the bridge may be called, besides addresses and its machine's own; ``*`` allows all."""
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """Where browsers find the bridge behind a proxy: its name may be used, and its pages are the bridge's."""

    stream_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "CREW_EVENTS"
    stream_subjects: Names = ()
    """What the stream takes; by default everything of every known family."""
    stream_storage: Literal["file", "memory"] = "file"
    stream_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    stream_max_bytes: Bytes = 1024**3
    stream_max_age_seconds: Positive = 7 * 24 * 3600.0
    extra_families: Annotated[tuple[Family, ...], NoDecode] = ()
    """Event families of your own (``invoice`` for ``invoice.*``): any object is their payload."""

    ring_bytes: Bytes = 64 * 1024**2
    """Memory for recent events, for resuming clients."""
    buffer_bytes: Bytes = 256 * 1024
    """A socket with more than this waiting is slow: it reads on from the log when it has drained."""
    history_reads: Annotated[int, Field(ge=1)] = 8
    """Reads of the stream at once, for clients that look back beyond the ring."""
    history_chunk_bytes: Bytes = 1024**2
    """How much such a read brings."""
    replay_max_events: Annotated[int, Field(ge=1)] | None = None
    """How many events of the stream, whatever its view, a client may look back; by default without bound."""
    compression: bool = False
    """Offer ``permessage-deflate``: fewer bytes, for about 10 µs an event and group."""
    max_delay_seconds: Annotated[Seconds, Field(ge=0)] = 0.025
    """How long an event may wait, under load, for others to be sent with it."""

    heartbeat_seconds: Positive = 25.0
    stale_seconds: Positive = 60.0
    """A client from which nothing is heard for so long, not even a pong, is cut off."""
    stalled_seconds: Positive = 30.0
    """A client that takes nothing of what is sent for so long is ended; it can come back and resume."""
    max_message_bytes: Bytes = 64 * 1024
    """A larger message of a client ends its connection (close code 1009)."""
    max_errors: Annotated[int, Field(gt=0)] = 20
    """So many refused messages end a connection."""
    max_connections: Annotated[int, Field(gt=0)] = 20_000
    """Browsers at once; fewer where the operating system grants fewer files."""
    max_connections_per_second: Annotated[float, Field(gt=0)] = 500.0
    """New browsers a second; who comes too fast is told when to come again."""
    drain_seconds: Positive = 5.0
    """A stopping bridge sends its clients away within this time, one after the other."""
    feed_heartbeat_seconds: Annotated[Seconds, Field(ge=0.1)] = 2.0
    """How often NATS says that the feed is alive; silence for twice as long restarts it."""

    health_seconds: Annotated[Seconds, Field(ge=0)] = 5.0
    """How often the bridge tells on the stream how it is, for ``/ws/metrics``; 0: never."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_small)] = "info"
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_small)] = "console"

    @field_validator("allowed_origins", "allowed_hosts", "stream_subjects", "extra_families", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then the file."""
        path = os.environ.get(FILE_VARIABLE)
        file = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, *file)


def default_instance() -> str:
    """The name of a bridge to which nobody gave one."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", gethostname())
    return f"{host[:48]}-{os.getpid()}"


def hint(name: str, known: Iterable[str]) -> str:
    """Which of ``known`` may be meant, as it is put behind an unknown name; empty where none is near."""
    near = get_close_matches(name, sorted(known), 1, _NEAR)
    return f" (did you mean {near[0]}?)" if near else ""


def load(**overrides: object) -> Settings:
    """The settings of this process. Raises pydantic's error for a bad value, ours for an unknown variable."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {FILE_VARIABLE}
    unknown = sorted(n for n in os.environ if n.upper().startswith(PREFIX) and n.upper() not in known)
    if unknown:
        meant = (hint(name.upper(), known) for name in unknown)
        raise UnknownVariableError(f"unknown setting: {', '.join(map(add, unknown, meant))}")
    path = os.environ.get(FILE_VARIABLE)
    if path and not Path(path).is_file():
        raise UnknownVariableError(f"{FILE_VARIABLE} names a file that does not exist: {path}")
    return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
