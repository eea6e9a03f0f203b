#!/usr/bin/env bash
# uvloop raises where asyncio ignores: a write to a transport that has closed (uvloop 0.23.0).
#
# asyncio's transport drops what is written after it has closed. uvloop's raises RuntimeError, which is no OSError:
# code that catches what a lost connection raises, and was tried on asyncio, does not catch it.
# Seen:
#   asyncio: nothing raised
#   uvloop: RuntimeError
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install uvloop==0.23.0

"$work/venv/bin/python" - <<'EOF'
import asyncio
import sys

import uvloop


async def write_after_close():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    host, port = server.sockets[0].getsockname()
    transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
    transport.abort()
    await asyncio.sleep(0.1)
    try:
        transport.write(b"x")
        return "nothing raised"
    except Exception as error:
        return type(error).__name__
    finally:
        server.close()


plain, fast = asyncio.run(write_after_close()), uvloop.run(write_after_close())
print(f"asyncio: {plain}")
print(f"uvloop: {fast}")
sys.exit((plain, fast) != ("nothing raised", "RuntimeError"))
EOF
