"""A script that uses the API with a key."""

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from customers.keys import create_key


class Api:
    """Sends JSON, or bytes as they are, and keeps the last answer's status."""

    def __init__(self, *scopes: str) -> None:
        self.secret = create_key("CRM", scopes)[1] if scopes else ""
        self.client = Client()

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        keys = {"X-API-Key": self.secret} if self.secret else {}
        return self.client.generic(method, path, content, content_type="application/json", headers={**keys, **headers})

    def ok(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The answer's JSON; its status must be `status`."""
        response = self.request(method, path, body)
        assert response.status_code == status, (response.status_code, response.content)
        return json.loads(response.content) if response.content else None

    def get(self, path: str, status: int = 200) -> Any:
        return self.ok("GET", path, status=status)

    def put(self, path: str, body: Any, status: int = 200) -> Any:
        return self.ok("PUT", path, body, status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return self.ok("PATCH", path, body, status)

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        return self.ok("POST", path, body, status)

    def delete(self, path: str, status: int = 204) -> Any:
        return self.ok("DELETE", path, status=status)
