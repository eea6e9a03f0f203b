"""Three nats-servers on this machine that are one JetStream cluster."""

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from nats.errors import Error as NatsError
from nats.js.api import StreamInfo

from tests.nats_server import NatsServer
from tests.waiting import soon

_NODES = 3
_CONFIGURATION = """
server_name: n{number}
cluster {{
  name: test
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
}}
"""


class NatsCluster:
    """Its servers, by number; any of them may be killed and started again."""

    def __init__(self, directory: Path) -> None:
        ports = _free_ports(_NODES)
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        self.servers: list[NatsServer] = []
        for number, port in enumerate(ports):
            own = directory / f"n{number}"
            own.mkdir()
            server = NatsServer(own)
            server.configure(_CONFIGURATION.format(number=number, port=port, routes=routes))
            self.servers.append(server)

    @property
    def url(self) -> str:
        """All servers, with commas between them."""
        return ",".join(server.url for server in self.servers)

    async def info(self, stream: str) -> StreamInfo | None:
        """The stream, None while it has no leader."""
        client = await nats.connect(self.url.split(","), connect_timeout=1, max_reconnect_attempts=2)
        try:
            return await client.jetstream(timeout=2).stream_info(stream)
        except (NatsError, OSError):
            return None
        finally:
            await client.close()

    async def leader(self, stream: str) -> int:
        """The number of the server that leads the stream, once all of its replicas have everything."""

        async def look() -> str | None:
            info = await self.info(stream)
            if info is None or info.cluster is None or not info.cluster.leader:
                return None
            replicas = info.cluster.replicas or []
            is_whole = len(replicas) == _NODES - 1 and all(peer.current for peer in replicas)
            return info.cluster.leader if is_whole else None

        return int((await soon(look, seconds=60))[1:])


def _free_ports(count: int) -> list[int]:
    listeners = [sockets.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@asynccontextmanager
async def nats_cluster(directory: Path) -> AsyncIterator[NatsCluster]:
    """Runs, and has a leader, as long as this lasts."""
    cluster = NatsCluster(directory)
    for server in cluster.servers:
        await asyncio.to_thread(server.start)
    try:

        async def look() -> bool:
            client = await nats.connect(cluster.url.split(","), connect_timeout=1)
            try:
                await client.jetstream(timeout=1).account_info()
            except (NatsError, OSError):
                return False
            finally:
                await client.close()
            return True

        await soon(look, seconds=60)
        yield cluster
    finally:
        for server in cluster.servers:
            await asyncio.to_thread(server.kill)
