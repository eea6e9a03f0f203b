"""The command ``crew-bridge``."""

import argparse
import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from tomllib import TOMLDecodeError
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bridge import logs, siblings
from bridge.bench import command as bench
from bridge.config import (
    EMBEDDED,
    FILE_VARIABLE,
    Settings,
    UnknownVariableError,
    default_instance,
    hint,
    load,
    nats_servers,
)
from bridge.crew import EventPublisher
from bridge.crew.obstacles import DENIED, told
from bridge.demo import play
from bridge.embedded import EmbeddedServerError
from bridge.numbers import show_numbers
from bridge.service import Running, UnfitStreamError, open_families, running
from bridge.web.tail import tail
from contracts import ContractError, create_event
from contracts.positions import Since
from contracts.servers import without_credentials

log = structlog.get_logger(__name__)

_NAME = "crew-bridge"
_USAGE = 2
_MOST_WORKERS = 256
_LOCAL_NATS = "nats://127.0.0.1:4222"
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listens everywhere is reached here


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 for a failure, 2 for bad arguments or settings."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load()
        logs.configure(settings.log_level, settings.log_format)
        if settings.reuse_port:  # one of several workers, whose lines go to one place
            structlog.contextvars.bind_contextvars(instance=settings.instance)
        done: int | Coroutine[Any, Any, int] = arguments.command(settings, arguments)
        return done if isinstance(done, int) else _run(done)
    except UnknownVariableError as error:
        return _say(str(error), _USAGE)
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        return _say(f"the file that {FILE_VARIABLE} names is not TOML: {error}", _USAGE)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return _say(_about_setting(first), _USAGE)
    except ContractError as error:
        return _say(f"not a valid event: {error}", _USAGE)
    except BrokenPipeError:
        # Who read our output, `head` say, has enough; Python must not try again at its exit.
        _silence()
        return 1
    except (EmbeddedServerError, UnfitStreamError, OSError) as error:
        return _say(str(error) or type(error).__name__, 1)
    except KeyboardInterrupt:
        return 130


def _about_setting(error: ErrorDetails) -> str:
    """A setting that is not known, or a value that will not do."""
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        meant = ": put all names at its top" if name == "bridge" else hint(name, Settings.model_fields)
        return f"unknown setting in the file that {FILE_VARIABLE} names: {name}{meant}"
    reason = error["msg"].removeprefix("Value error, ")
    return f"bad setting BRIDGE_{name.upper()}: {reason}"


def _say(message: str, code: int) -> int:
    print(f"crew-bridge: {message}", file=sys.stderr)
    return code


def _tell(text: str) -> None:
    """Show a line; where it is not taken any more it is lost, and whoever serves goes on."""
    try:
        print(text, flush=True)
    except OSError:
        _silence()


def _silence() -> None:
    """Let what is still to be written, also at Python's exit, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _run(main: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop where there is one."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415 - it is not there on every platform

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


async def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run a bridge, or several, until somebody ends it."""
    stop = _stop_signals()
    if arguments.workers > 1:
        return await siblings.serve(settings, arguments.workers, stop, _tell)
    async with running(settings) as bridge:
        log.info("serving", version=version("crew-bridge"), url=bridge.url, **_start(settings, bridge))
        _tell(f"Crew Bridge: {bridge.url}  (NATS: {without_credentials(bridge.nats_url)})")
        await stop.wait()
    log.info("stopped")
    return 0


def _start(settings: Settings, bridge: Running) -> dict[str, object]:
    """What an operator wants to know of a bridge that has started."""
    return {
        "instance": settings.instance or default_instance(),
        "nats": without_credentials(bridge.nats_url),
        "stream": settings.stream_name,
        "max_connections": settings.max_connections,
        "ring_bytes": settings.ring_bytes,
        "drain_seconds": settings.drain_seconds,
    }


async def _demo(settings: Settings, _: argparse.Namespace) -> int:
    """Run a bridge and a crew that never rests."""
    stop = _stop_signals()
    async with running(settings) as bridge:
        _tell(_welcome(bridge))
        async with asyncio.TaskGroup() as tasks:
            working = (
                tasks.create_task(play(bridge.nats_url)),
                tasks.create_task(show_numbers(bridge.url, _tell)),
            )
            await stop.wait()
            for task in working:
                task.cancel()
    return 0


def _welcome(bridge: Running) -> str:
    nats = without_credentials(bridge.nats_url)
    example = f"""publish --nats {nats} task.completed --data '{{"result": "hello"}}'"""
    return f"Crew Bridge demo\n  watch:   {bridge.url}\n  publish: {_command()} {example}\n  stop:    Ctrl-C"


def _command() -> str:
    """How a shell calls this: in a clone the command is not on the path."""
    return _NAME if shutil.which(_NAME) else f"{shlex.quote(sys.executable)} -m bridge"


def _stop_signals() -> asyncio.Event:
    """Set by SIGINT or SIGTERM, from now on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, number, stop)
    return stop


def _end(number: signal.Signals, stop: asyncio.Event) -> None:
    log.info("ends: sends its clients away first", signal=number.name)
    stop.set()


async def _publish(settings: Settings, arguments: argparse.Namespace) -> int:
    """Publish one event, acknowledged by the stream."""
    open_families(settings)
    ids = {name: getattr(arguments, name) for name in ("execution_id", "crew_id", "task_id", "agent_id")}
    given = {name: value for name, value in ids.items() if value is not None}
    event = create_event(arguments.type, arguments.data, **given)
    default = _LOCAL_NATS if settings.nats_url == EMBEDDED else settings.nats_url
    url = arguments.nats or default
    publisher = EventPublisher(url, stream=settings.stream_name)
    try:
        async with asyncio.timeout(arguments.timeout), publisher:
            await publisher.publish(event)
    except PermissionError as error:
        return _say(f"{error}: allow it to the user", DENIED)
    except TimeoutError:
        return _say(*told(publisher.obstacle, url, settings.stream_name, str(event.address)))
    print(f"{event.event_id} {event.subject}")
    return 0


async def _tail(settings: Settings, arguments: argparse.Namespace) -> int:
    """Show events as they come, in a line each, also to a pipe."""
    open_families(settings)
    url = arguments.url or _address(settings.host, settings.port)
    url = (url if "://" in url else f"http://{url}").rstrip("/")
    names = arguments.subscription or ["global"]
    out, note = partial(print, flush=True), partial(print, file=sys.stderr, flush=True)
    await tail(url + settings.prefix, names, since=arguments.since, out=out, note=note)


def _address(host: str, port: int) -> str:
    """Where this machine reaches a bridge that is set up like that."""
    host = _HERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _servers(text: str) -> str:
    try:
        return nats_servers(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if (seconds := float(text)) > 0:
            return seconds
    raise argparse.ArgumentTypeError("must be a number of seconds above 0")


def _since(text: str) -> int | str:
    try:
        return TypeAdapter[int | str](Since).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError(
            "must be a position, as the bridge says it, or a seq, from 0"
        ) from None


def _bench(_: Settings, arguments: argparse.Namespace) -> int:
    """Compare, in this process and others; there is no event loop."""
    return bench.bench(arguments)


def _json_object(text: str) -> dict[str, Any]:
    value: object = None
    with suppress(ValueError):
        value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_NAME, description="Events of CrewAI crews, live in browsers.")
    parser.add_argument("--version", action="version", version=version("crew-bridge"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run a bridge; set up by BRIDGE_* variables"))
    commands.add_parser("demo", help="run a bridge with a crew that publishes").set_defaults(command=_demo)
    _add_publish(commands.add_parser("publish", help="publish one event"))
    _add_tail(commands.add_parser("tail", help="show events live in the terminal"))
    comparing = commands.add_parser("bench", help="compare with nats-server's WebSocket and a naive bridge")
    comparing.set_defaults(command=_bench)
    bench.add_arguments(comparing)
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_serve)
    parser.add_argument(
        "--workers", type=_count, default=1, help="processes that share the port, each a bridge (default: 1)"
    )


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= count <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_MOST_WORKERS}")
    return count


def _add_publish(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_publish)
    parser.add_argument("type", help="the event type, such as task.completed")
    for name in ("execution", "crew", "task", "agent"):
        parser.add_argument(f"--{name}-id", help=f"the {name}'s id")
    parser.add_argument("--data", type=_json_object, default={}, help="the payload, a JSON object")
    parser.add_argument(
        "--nats", type=_servers, help=f"the server (default: BRIDGE_NATS_URL, or {_LOCAL_NATS})"
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=5.0, help="seconds to wait for the stream (default: 5)"
    )


def _add_tail(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_tail)
    parser.add_argument("subscription", nargs="*", help="alias or pattern (default: global)")
    parser.add_argument("--url", help="the bridge (default: BRIDGE_HOST and BRIDGE_PORT)")
    parser.add_argument(
        "--since", type=_since, help="begin after this position, or this seq; 0 shows all that is kept"
    )
