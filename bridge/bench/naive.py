"""A bridge as one would write it first: for every event, one ``send_str`` for every connection.

The measure of what the real one is worth; no validation, no order across reconnects, no replay.
"""

import asyncio
import json
import signal
import sys
from collections import defaultdict

import nats
from aiohttp import WSMsgType, web
from nats.aio.msg import Msg

connections: defaultdict[str, set[web.WebSocketResponse]] = defaultdict(set)
COMPRESS = web.AppKey("COMPRESS", bool)


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """One browser, which watches one execution."""
    execution = request.match_info["execution"]
    ws = web.WebSocketResponse(compress=request.app[COMPRESS])
    await ws.prepare(request)
    connections[execution].add(ws)
    try:
        async for message in ws:
            if message.type is WSMsgType.ERROR:
                break
    finally:
        connections[execution].discard(ws)
    return ws


async def on_message(message: Msg) -> None:
    """One event, to all who watch its execution."""
    text = message.data.decode()
    for ws in list(connections[json.loads(text)["execution_id"]]):
        await ws.send_str(text)


async def main(url: str, *options: str) -> None:
    """Serve until somebody ends it."""
    client = await nats.connect(url)
    await client.subscribe(">", cb=on_message)
    app = web.Application()
    app[COMPRESS] = "compress" in options
    app.router.add_get("/ws/executions/{execution}", websocket)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print("port", runner.addresses[0][1])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
