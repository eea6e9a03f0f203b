"""Crew Bridge: events of CrewAI crews, from NATS JetStream to browsers, in order and without loss."""
