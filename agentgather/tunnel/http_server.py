"""One HTTP server that the user named, and the connections that are kept to it."""

import ssl
from typing import Final
from urllib.parse import urlsplit

import httpcore


class HttpServer:
    """The server at a base URL in normal form. ``pool`` is to be closed by whoever made it."""

    def __init__(
        self,
        base_url: str,
        *,
        connections: int,
        idle_seconds: float,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        self.host: Final = parts.netloc.encode()
        self._prefix = parts.path.encode()
        self._origin = httpcore.URL(f"{parts.scheme}://{parts.netloc}")
        self.pool: Final = httpcore.AsyncConnectionPool(
            # The machine's own certificates, not those that httpcore brings along.
            ssl_context=ssl.create_default_context() if parts.scheme == "https" else None,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=idle_seconds,
            network_backend=backend or httpcore.TrioBackend(),
        )

    def url(self, target: bytes) -> httpcore.URL:
        """Give the URL of a path and query below the base URL, as they are."""
        return httpcore.URL(
            scheme=self._origin.scheme,
            host=self._origin.host,
            port=self._origin.port,
            target=self._prefix + target,
        )
