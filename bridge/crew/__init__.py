"""The worker shore: what a crew, or an application around it, does to have its events in the stream."""

import logging

from bridge.crew.install import install
from bridge.crew.publisher import EventPublisher
from bridge.crew.tap import Tap

__all__ = ["EventPublisher", "Tap", "install"]

# A worker that does not configure logging hears nothing, not even of trouble.
logging.getLogger(__name__).addHandler(logging.NullHandler())
