"""The typed ``data`` of every event type, one class a type."""
