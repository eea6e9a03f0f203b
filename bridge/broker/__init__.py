"""The NATS shore: the connection, the stream, the feed that reads it, and the other bridges."""
