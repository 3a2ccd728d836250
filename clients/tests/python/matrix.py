"""python-socketio in one configuration, in front of a running installation.

The test that starts this script has the other side, as for matrix.js beside it: what is asked is a line of JSON on
standard output, the answer a line on standard input. The last line is {"done": true}, or {"failed": why}.
"""

import json
import sys
import threading
import time
import traceback

import requests
import socketio

PATIENCE = 30
config = json.loads(sys.argv[1])
base, room = config["base"], config["room"]


def ask(what, **data):
    print(json.dumps({"ask": what, **data}), flush=True)
    line = sys.stdin.readline()
    assert line, "the other side is there"
    return json.loads(line)


def equal(found, expected, what):
    assert found == expected, f"{what}: expected {expected!r}, found {found!r}"


class Client:
    """Keeps its events until somebody asks for them, and its cursors."""

    def __init__(self, auth):
        self.kept, self.cursors, self.first = [], None, None
        self.changed = threading.Condition()
        self.sio = socketio.Client()
        self.auth = auth
        self.sio.on("disconnect", lambda reason: self.take("disconnect", reason))
        self.sio.on("connect_error", lambda data: self.take("connect_error", data))
        self.sio.on("*", self.take)

    def connect(self, url=base, **options):
        if config.get("transports"):
            options["transports"] = config["transports"]
        self.sio.connect(url, auth=self.give_auth, wait_timeout=PATIENCE, **options)

    def give_auth(self):
        return {**self.auth, **({"resume": self.cursors} if self.cursors else {})}

    def take(self, name, *data):
        with self.changed:
            if name not in ("disconnect", "connect_error"):
                self.first = self.first or name
            if name == "authenticated":
                rooms = self.cursors["rooms"] if self.cursors else {}
                self.cursors = {"storeEpoch": data[0]["storeEpoch"], "rooms": rooms}
            if self.cursors and len(data) > 1 and "roomId" in data[1]:
                self.cursors["rooms"][data[1]["roomId"]] = data[1]["seq"]
            self.kept.append((name, data))
            self.changed.notify_all()

    def event(self, name, fits=lambda *_: True):
        """The arguments of the first event of this name that fits; the others are kept."""
        end = time.monotonic() + PATIENCE
        with self.changed:
            while True:
                for index, (found, data) in enumerate(self.kept):
                    if found == name and fits(*data):
                        del self.kept[index]
                        return data
                left = end - time.monotonic()
                names = [found for found, _ in self.kept]
                assert left > 0, f"waited in vain: {name}; kept {names}"
                self.changed.wait(left)

    def call(self, name, data):
        return self.sio.call(name, data, timeout=PATIENCE)


def refusals():
    wrong = Client({"token": "wrong"})
    try:
        wrong.connect(retry=False)
        raise AssertionError("a wrong token is refused")
    except socketio.exceptions.ConnectionError:
        pass
    equal(wrong.event("connect_error")[0]["data"]["code"], "unauthorized", "a wrong token")

    late = Client({})
    late.connect()
    equal(late.call("get_room_users", {"roomId": room})["error"]["code"], "unauthorized", "before signing in")
    late.sio.emit("authenticate", {"token": config["token"]})
    equal(late.event("authenticated")[0]["user"]["id"], config["id"], "a command signs in")
    late.sio.disconnect()
    by_query = Client({})
    by_query.connect(f"{base}?token={config['token']}")
    by_query.event("authenticated")
    by_query.sio.disconnect()
    by_header = Client({})
    by_header.connect(headers={"Authorization": f"Bearer {config['token']}"})
    by_header.event("authenticated")
    by_header.sio.disconnect()


def life(client):
    equal(client.event("authenticated")[0]["user"]["id"], config["id"], "who signed in")
    equal(client.first, "authenticated", "nothing comes before it")

    ask("peer", command="send_message", data={"roomId": room, "content": "hello"})
    message, place = client.event("new_message")
    equal((message["content"], place), ("hello", {"roomId": room, "seq": message["seq"]}), "a message and its place")

    sent = client.call("send_message", {"roomId": room, "content": "with an ack", "clientId": "one"})
    equal((sent["roomId"], sent["clientId"]), (room, "one"), "an acknowledgement")
    equal(ask("frame", type="new_message")["data"]["content"], "hello", "the peer's own")
    frame = ask("frame", type="new_message")
    equal((frame["data"]["content"], frame["seq"]), ("with an ack", sent["seq"]), "the same place on /ws")
    client.sio.emit("send_message", {"roomId": room, "content": "without", "clientId": "two"})
    equal(client.event("message_sent")[0]["clientId"], "two", "the reply as an event")
    equal(client.call("send_message", {"roomId": room})["error"]["code"], "invalid", "an error by acknowledgement")
    client.sio.emit("dance", {})
    equal(client.event("error")[0]["code"], "unknown_command", "an error as an event")
    equal(client.call("send_message", b"x")["error"]["code"], "invalid", "binary data is refused")

    edited = client.call("edit_message", {"messageId": sent["messageId"], "content": "edited"})
    updated, at = client.event("message_updated")
    equal((updated["content"], at["seq"]), ("edited", edited["seq"]), "what it came to, and its place")
    client.call("delete_message", {"messageId": sent["messageId"]})
    equal(client.event("message_deleted")[0]["id"], sent["messageId"], "a tombstone")
    equal(client.call("message_read", {"roomId": room})["roomId"], room, "a receipt")
    equal(ask("frame", type="message_read")["data"]["userId"], config["id"], "is told")
    ask("peer", command="message_read", data={"roomId": room})
    equal([data["userId"] for data in client.event("message_read")], [config["peer"]], "and heard, without a place")

    client.sio.emit("typing", {"roomId": room, "isTyping": True})
    equal(ask("frame", type="user_typing")["data"]["userId"], config["id"], "typing is told")
    ask("post", command="typing", data={"roomId": room, "isTyping": True})
    equal(client.event("user_typing", lambda data: data["isTyping"])[0]["userId"], config["peer"], "and heard")

    equal(client.call("leave_room", {"roomId": room})["roomId"], room, "leave_room")
    joined = client.call("join_room", {"roomId": room, "since": sent["seq"]})
    assert joined["recovered"] and any(entry["data"].get("content") == "without" for entry in joined["events"])
    users = client.call("get_room_users", {"roomId": room})["users"]
    assert any(user["userId"] == config["peer"] and user["isOnline"] for user in users), "the peer is online"
    ask("visit")
    status = client.event("user_status", lambda data: data["userId"] == config["visitor"])[0]
    equal(status["status"], "online", "a visitor is seen")


def signing_out():
    client = Client({"token": config["otherToken"]})
    client.connect()
    client.event("authenticated")
    headers = {"Authorization": f"Bearer {config['otherToken']}"}
    equal(requests.post(f"{base}/api/v1/auth/logout", headers=headers, timeout=PATIENCE).status_code, 204, "signing out")
    equal(client.event("error")[0]["code"], "session_ended", "why it ends")
    equal(client.event("disconnect")[0], "server disconnect", "and then it does")


def reconnecting(client):
    before = client.call("send_message", {"roomId": room, "content": "before", "clientId": "before"})
    client.event("new_message", lambda message, _: message["clientId"] == "before")
    client.kept = []
    ask("ending")
    if config["ending"] == "drained":
        equal(client.event("reconnect")[0]["code"], "draining", "it is asked to come again")
        equal(client.event("error")[0]["code"], "draining", "why the connection ends")
    reason = client.event("disconnect")[0]
    assert reason.startswith("transport"), reason
    equal(client.event("resumed")[0]["rooms"][room]["status"], "recovered", "nothing is lost")
    client.call("send_message", {"roomId": room, "content": "meanwhile", "clientId": "meanwhile"})
    client.event("new_message", lambda message, _: message["content"] == "last")
    client.event("new_message", lambda message, _: message["clientId"] == "meanwhile")
    # The two above were taken out of what is kept; all the others are there, once.
    places = [data[1]["seq"] for _, data in client.kept if len(data) > 1 and data[1].get("roomId") == room]
    equal(len(places) + 2, client.cursors["rooms"][room] - before["seq"], f"every entry once: {places}")
    equal(places, sorted(set(places)), "in order")


def main():
    client = Client({"token": config["token"]})
    if config["ending"] == "killed":
        refusals()
        client.connect()
        life(client)
        signing_out()
    else:
        client.connect()
        client.event("authenticated")
    equal(client.sio.transport(), (config.get("transports") or ["websocket"])[0], "the transport")
    reconnecting(client)
    client.sio.disconnect()
    client.event("disconnect")


try:
    main()
    print(json.dumps({"done": True}), flush=True)
except BaseException:
    print(json.dumps({"failed": traceback.format_exc()}), flush=True)
    sys.exit(1)
