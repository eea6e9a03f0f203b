"""The NATS shore: the connection, the stream, and the feed that reads it."""
