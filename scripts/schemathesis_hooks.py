"""Who calls when schemathesis tries the API.

One account for everything, and an admin for what admins do; and others for the calls that could end the session or the
account they are made with. Ids that answers gave lead to these accounts as well, so that they are looked at, and made
anew when they are not what they were.

And what a schema cannot say is helped along: half of the ids of people in bodies are those of somebody who is there, a
confirmation confirms, and a current password is the current one. Only what is well formed is replaced, so that what is
meant to be wrong stays wrong.
"""

import itertools
import os
import subprocess
import threading
import uuid

import requests
import schemathesis

PASSWORD = "correct horse battery"

ENDING = {
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/auth/logout-all"),
    ("PUT", "/api/v1/auth/change-password"),
    ("DELETE", "/api/v1/auth/sessions/{id}"),
    ("DELETE", "/api/v1/users/me"),
    ("DELETE", "/api/v1/users/{id}"),
    ("PATCH", "/api/v1/users/me"),
    ("PATCH", "/api/v1/users/{id}"),
    ("PUT", "/api/v1/admin/users/{id}/password"),
    ("PUT", "/api/v1/admin/users/{id}/role"),
}

_numbers = itertools.count(1)
_one_at_a_time = threading.Lock()
_friend = []


def _ask(method, path, **more):
    return requests.request(method, os.environ["ROOKERY_CHECK_URL"] + path, timeout=30, **more)


def _account(admin):
    name = f"walker-{next(_numbers)}"
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    answer = _ask("POST", "/api/v1/auth/register", json=body)
    answer.raise_for_status()
    if admin:
        command = [os.environ["ROOKERY_CHECK_PROGRAM"], "admin", "promote", name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return answer.json()["accessToken"]


def _is(token, admin):
    answer = _ask("GET", "/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == 200 and (answer.json()["role"] == "admin") == admin


def _is_id(value):
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _person(value):
    if not _is_id(value) or uuid.UUID(value).int % 2:
        return value
    with _one_at_a_time:
        if not _friend:
            headers = {"Authorization": f"Bearer {_account(admin=False)}"}
            _friend.append(_ask("GET", "/api/v1/users/me", headers=headers).json()["id"])
    return _friend[0]


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    body = dict(body)
    for field in ("to", "userId"):
        if field in body:
            body[field] = _person(body[field])
    for field in ("userIds", "memberIds"):
        if isinstance(body.get(field), list):
            body[field] = [_person(value) for value in body[field]]
    if isinstance(body.get("currentPassword"), str):
        body["currentPassword"] = PASSWORD
    for field in ("password", "newPassword"):
        if isinstance(body.get("confirmPassword"), str) and isinstance(body.get(field), str):
            body["confirmPassword"] = body[field]
    return body


@schemathesis.auth(refresh_interval=None)
class Account:
    def __init__(self):
        self.tokens = {}
        self.calls = itertools.count()

    def get(self, case, context):
        operation = (context.operation.method.upper(), context.operation.path)
        admin = operation[1].startswith("/api/v1/admin/")
        # What may end an account has accounts of its own; the others are looked at now and then.
        risky = operation in ENDING
        which = (admin, risky)
        with _one_at_a_time:
            if operation == ("PUT", "/api/v1/auth/change-password"):
                # Its password is another one afterwards.
                return _account(admin)
            look = risky or next(self.calls) % 20 == 0
            if which not in self.tokens or look and not _is(self.tokens[which], admin):
                self.tokens[which] = _account(admin)
            return self.tokens[which]

    def set(self, case, token, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}
