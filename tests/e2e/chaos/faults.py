"""What is done to the parts, in turn, while browsers watch."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from random import Random

import nats
from nats.errors import Error as NatsError

from tests.e2e.chaos.record import STREAM
from tests.e2e.chaos.world import BridgeServer
from tests.nats_server import NatsServer
from tests.proxy import Proxy

Fault = Callable[[], Awaitable[None]]


class Faults:
    """The faults of a run with one nats-server and one bridge behind a proxy."""

    def __init__(self, server: NatsServer, bridge: BridgeServer, proxy: Proxy, random: Random) -> None:
        self._server = server
        self._bridge = bridge
        self._proxy = proxy
        self._random = random
        self.done: list[str] = []
        self.fell_behind = 0.0
        """How often a browser could not take what was to be sent, as far as bridges were asked."""

    async def in_turn(self, seconds: float, rest: float) -> None:
        """One after the other, each at least once, until the time is over; ``rest`` seconds between them.

        For twice the time, if nobody has read too slowly until then: on a busy machine less is published.
        """
        faults: list[Fault] = [
            self.nats_killed,
            self.connection_cut,
            self.bridge_killed,
            self.consumer_deleted,
            self.connection_cut_in_mid_message,
            self.connection_stalled,
            self.bridge_told_to_stop,
        ]
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while clock() < end or len(self.done) < len(faults) or await self._is_to_go_on(end + seconds):
            await asyncio.sleep(rest)
            fault = faults[len(self.done) % len(faults)]
            await fault()
            self.done.append(fault.__name__)
        await self._count_slow()

    async def _is_to_go_on(self, until: float) -> bool:
        if self.fell_behind or asyncio.get_running_loop().time() > until:
            return False
        return not await self._bridge.metric("fell_behind_total")

    async def nats_killed(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.sleep(self._random.uniform(0.2, 1.5))
        await asyncio.to_thread(self._server.start)

    async def _count_slow(self) -> None:
        """A bridge that ends takes its counters with it."""
        self.fell_behind += await self._bridge.metric("fell_behind_total")

    async def bridge_killed(self) -> None:
        await self._count_slow()
        await self._bridge.end(signal.SIGKILL)
        await self._bridge.start()
        await self._bridge.ready()

    async def bridge_told_to_stop(self) -> None:
        await self._count_slow()
        assert await self._bridge.end(signal.SIGTERM) == 0
        await self._bridge.start()
        await self._bridge.ready()

    async def consumer_deleted(self) -> None:
        client = await nats.connect(self._server.url)
        try:
            for consumer in await client.jetstream().consumers_info(STREAM):
                if consumer.name.startswith("bridge-feed"):
                    await client.jetstream().delete_consumer(STREAM, consumer.name)
        except NatsError:
            self.done.append("a consumer that was gone already")
        finally:
            await client.close()

    async def connection_cut(self) -> None:
        self._proxy.cut()

    async def connection_cut_in_mid_message(self) -> None:
        self._proxy.cut_after(self._random.randrange(500, 5000))

    async def connection_stalled(self) -> None:
        self._proxy.stall()
        await asyncio.sleep(self._random.uniform(1.0, 5.0))
        self._proxy.resume()
