"""RabbitMQ's management HTTP API, as far as development and tests need it."""

import base64
import http.client
import json
from typing import Any
from urllib.parse import quote, unquote, urlsplit

ANSWER_WITHIN_S = 10.0


class ManagementError(Exception):
    """The management HTTP API refused a request."""


class Management:
    """A client for one management API, at a URL such as `http://user:password@127.0.0.1:15672`."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        if address.hostname is None or address.scheme not in {"http", "https"}:
            raise ValueError(f"not the URL of a RabbitMQ management API: {url!r}")
        self._secure = address.scheme == "https"
        self._host, self._port = address.hostname, address.port or (15671 if self._secure else 15672)
        self.user = unquote(address.username or "guest")
        credentials = f"{self.user}:{unquote(address.password or 'guest')}"
        self._authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"

    def get(self, *path: str) -> Any:
        return self._request("GET", path)

    def put(self, *path: str, body: dict[str, Any] | None = None) -> None:
        self._request("PUT", path, body=body or {})

    def post(self, *path: str, body: dict[str, Any]) -> Any:
        return self._request("POST", path, body=body)

    def delete(self, *path: str) -> None:
        self._request("DELETE", path)

    def _request(self, method: str, path: tuple[str, ...], body: dict[str, Any] | None = None) -> Any:
        """The decoded answer, or None without one. Raises ManagementError for any status from 400."""
        target = "/api/" + "/".join(quote(part, safe="") for part in path)
        connect = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = connect(self._host, self._port, timeout=ANSWER_WITHIN_S)
        try:
            connection.request(
                method,
                target,
                body=None if body is None else json.dumps(body),
                headers={"Authorization": self._authorization, "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise ManagementError(f"{method} {target}: {response.status} {answer.decode(errors='replace')}")
        return json.loads(answer) if answer else None
