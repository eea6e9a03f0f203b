#!/usr/bin/env bash
# aiohttp's max_msg_size is the first size that is refused, not the largest that is taken (aiohttp 3.14.5).
#
# A server with max_msg_size=1024 takes a message of 1,023 bytes, and closes the connection with 1009 (message too
# big) for one of exactly 1,024.
# Seen:
#   1023 bytes: TEXT
#   1024 bytes: CLOSE 1009
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install aiohttp==3.14.5

"$work/venv/bin/python" - <<'EOF'
import asyncio
import sys

from aiohttp import ClientSession, WSMsgType, web


async def answer(request):
    socket = web.WebSocketResponse(max_msg_size=1024)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str("taken")
    return socket


async def sent(url, size):
    async with ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_str("x" * size)
        message = await socket.receive()
        return message.type.name if message.type is WSMsgType.TEXT else f"{message.type.name} {message.data}"


async def main():
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    below, at = [await sent(url, size) for size in (1023, 1024)]
    await runner.cleanup()
    print(f"1023 bytes: {below}")
    print(f"1024 bytes: {at}")
    return (below, at) == ("TEXT", "CLOSE 1009")


sys.exit(not asyncio.run(main()))
EOF
