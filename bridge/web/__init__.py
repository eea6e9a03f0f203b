"""The browser shore: HTTP and WebSocket over aiohttp."""
