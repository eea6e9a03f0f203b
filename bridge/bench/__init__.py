"""The bench: this bridge beside nats-server's own WebSocket and a naive bridge, on the user's machine."""
