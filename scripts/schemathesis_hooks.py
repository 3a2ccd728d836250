"""Who calls when schemathesis tries the API.

One account for everything; and a new one for each call that could end the session or the account it is made with,
so that what comes after is not refused for want of a session.
"""

import itertools

import requests
import schemathesis

PASSWORD = "correct horse battery"

ENDING = {
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/auth/logout-all"),
    ("PUT", "/api/v1/auth/change-password"),
    ("DELETE", "/api/v1/auth/sessions/{id}"),
    ("DELETE", "/api/v1/users/me"),
    ("PATCH", "/api/v1/users/{id}"),
    ("DELETE", "/api/v1/users/{id}"),
}

_numbers = itertools.count(1)


def sign_up(url):
    name = f"walker-{next(_numbers)}"
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    answer = requests.post(f"{url}/api/v1/auth/register", json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()["accessToken"]


@schemathesis.auth(refresh_interval=None)
class Account:
    def __init__(self):
        self.usual = None

    def get(self, case, context):
        url = case.operation.schema.config.base_url.rstrip("/")
        if (case.operation.method.upper(), case.operation.path) in ENDING:
            return sign_up(url)
        if self.usual is None:
            self.usual = sign_up(url)
        return self.usual

    def set(self, case, token, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}
