"""The worker shore: what a crew, or an application around it, does to have its events in the stream."""

from bridge.crew.install import install
from bridge.crew.publisher import EventPublisher
from bridge.crew.tap import Tap

__all__ = ["EventPublisher", "Tap", "install"]
