// One official client in one configuration, in front of a running installation.
//
// The test that starts this script has the other side: a user of /ws, who speaks when asked to. What is asked is a line
// of JSON on standard output, the answer a line on standard input. The last line is {"done": true}, or {"failed": why}.
// The gateway ends as config.ending says: "killed", after everything else was tried, or "drained".

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const config = JSON.parse(process.argv[2]);
const { io } = createRequire(`${config.modules}/`)(config.client);
const { base, room } = config;

// ------------------------------------------------------------------------------------------------ the other side

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what, data = {}) {
    process.stdout.write(`${JSON.stringify({ ask: what, ...data })}\n`);
    const { value, done } = await answers.next();
    check(!done, "the other side is there");
    return JSON.parse(value);
}

function check(holds, what) {
    if (!holds) {
        throw new Error(what);
    }
}

function equal(found, expected, what) {
    const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
    check(a === b, `${what}: expected ${b}, found ${a}`);
}

function inTime(promise, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), 30_000);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// ------------------------------------------------------------------------------------------------ this side

/// A client that keeps its events until somebody asks for them, and its cursors.
class Client {
    constructor(options, path = "/") {
        this.kept = [];
        this.waiting = [];
        this.cursors = undefined;
        const auth = (give) => give({ ...options.auth, ...(this.cursors && { resume: this.cursors }) });
        const { auth: _, ...rest } = options;
        const transports = config.transports ? { transports: config.transports } : {};
        this.socket = io(base + path, { forceNew: true, ...transports, ...rest, auth });
        for (const name of ["connect", "connect_error", "disconnect"]) {
            this.socket.on(name, (...data) => this.take(name, data));
        }
        this.socket.onAny((name, ...data) => this.take(name, data));
    }

    take(name, data) {
        if (name === "authenticated") {
            this.cursors = { storeEpoch: data[0].storeEpoch, rooms: { ...this.cursors?.rooms } };
        }
        if (!["connect", "connect_error", "disconnect"].includes(name)) {
            this.first ??= name;
        }
        const place = data[1];
        if (this.cursors && place?.roomId) {
            this.cursors.rooms[place.roomId] = place.seq;
        }
        this.kept.push({ name, data });
        this.look();
    }

    look() {
        for (const waiting of [...this.waiting]) {
            const index = this.kept.findIndex(waiting.fits);
            if (index >= 0) {
                this.waiting.splice(this.waiting.indexOf(waiting), 1);
                waiting.resolve(this.kept.splice(index, 1)[0].data);
            }
        }
    }

    /// The arguments of the first event of this name that fits; the others are kept.
    event(name, fits = () => true) {
        const found = new Promise((resolve) => {
            this.waiting.push({ fits: (event) => event.name === name && fits(...event.data), resolve });
        });
        this.look();
        return inTime(found, `${name}; kept ${JSON.stringify(this.kept.map((event) => event.name))}`);
    }

    /// A command with an acknowledgement; gives what that is called with.
    call(name, data) {
        return inTime(new Promise((resolve) => this.socket.emit(name, data, resolve)), `the answer to ${name}`);
    }
}

async function refusals() {
    const wrong = new Client({ auth: { token: "wrong" } });
    const [error] = await wrong.event("connect_error");
    equal(error.data?.code, "unauthorized", "a wrong token");
    // The oldest ones try again.
    check(!wrong.socket.active || config.client.endsWith("oldest"), "a refusal is final");
    wrong.socket.disconnect();
    const elsewhere = new Client({ auth: { token: config.token } }, "/admin");
    equal((await elsewhere.event("connect_error"))[0].message, "Invalid namespace", "another namespace");
    elsewhere.socket.disconnect();

    const late = new Client({ auth: {} });
    await late.event("connect");
    equal((await late.call("get_room_users", { roomId: room })).error.code, "unauthorized", "before signing in");
    late.socket.emit("authenticate", { token: config.token });
    equal((await late.event("authenticated"))[0].user.id, config.id, "a command signs in");
    late.socket.disconnect();
    const byQuery = new Client({ auth: {}, query: { token: config.token } });
    await byQuery.event("authenticated");
    byQuery.socket.disconnect();
    const byHeader = new Client({ auth: {}, extraHeaders: { authorization: `Bearer ${config.token}` } });
    await byHeader.event("authenticated");
    byHeader.socket.disconnect();
}

async function life(client) {
    await client.event("connect");
    equal((await client.event("authenticated"))[0].user.id, config.id, "who signed in");
    equal(client.first, "authenticated", "nothing comes before it");

    await ask("peer", { command: "send_message", data: { roomId: room, content: "hello" } });
    const [message, place] = await client.event("new_message");
    equal([message.content, place.roomId, place.seq], ["hello", room, message.seq], "a message and its place");

    const sent = await client.call("send_message", { roomId: room, content: "with an ack", clientId: "one" });
    equal([sent.roomId, sent.clientId], [room, "one"], "an acknowledgement");
    equal((await ask("frame", { type: "new_message" })).data.content, "hello", "the peer's own");
    const frame = await ask("frame", { type: "new_message" });
    equal([frame.data.content, frame.seq], ["with an ack", sent.seq], "the same place on /ws");
    const repeated = await client.call("send_message", { roomId: room, content: "with an ack", clientId: "one" });
    equal(repeated, sent, "the first acknowledgement again");
    client.socket.emit("send_message", { roomId: room, content: "without", clientId: "two" });
    equal((await client.event("message_sent"))[0].clientId, "two", "the reply as an event");
    equal((await client.call("send_message", { roomId: room })).error.code, "invalid", "an error by acknowledgement");
    client.socket.emit("dance", {});
    equal((await client.event("error"))[0].code, "unknown_command", "an error as an event");
    const binary = await client.call("send_message", Buffer.from("x"));
    equal(binary.error.code, "invalid", "binary data is refused");

    const edited = await client.call("edit_message", { messageId: sent.messageId, content: "edited" });
    equal(edited.messageId, sent.messageId, "an edit");
    const [updated, at] = await client.event("message_updated");
    equal([updated.content, at.seq], ["edited", edited.seq], "what it came to, and its place");
    await client.call("delete_message", { messageId: sent.messageId });
    equal((await client.event("message_deleted"))[0].id, sent.messageId, "a tombstone");
    equal((await client.call("message_read", { roomId: room })).roomId, room, "a receipt");
    equal((await ask("frame", { type: "message_read" })).data.userId, config.id, "is told");
    await ask("peer", { command: "message_read", data: { roomId: room } });
    const read = await client.event("message_read");
    equal([read.length, read[0].userId], [1, config.peer], "and heard, without a place");

    client.socket.emit("typing", { roomId: room, isTyping: true });
    equal((await ask("frame", { type: "user_typing" })).data.userId, config.id, "typing is told");
    await ask("post", { command: "typing", data: { roomId: room, isTyping: true } });
    const [typing] = await client.event("user_typing", (data) => data.isTyping);
    equal(typing.userId, config.peer, "and heard");

    equal((await client.call("leave_room", { roomId: room })).roomId, room, "leave_room");
    const joined = await client.call("join_room", { roomId: room, since: sent.seq });
    check(joined.recovered && joined.events.some((entry) => entry.data.content === "without"), "what was missed");
    const { users } = await client.call("get_room_users", { roomId: room });
    check(users.some((user) => user.userId === config.peer && user.isOnline), "the peer is online");
    await ask("visit");
    const [status] = await client.event("user_status", (data) => data.userId === config.visitor);
    equal(status.status, "online", "a visitor is seen");
}

async function signingOut() {
    const client = new Client({ auth: { token: config.otherToken } });
    await client.event("authenticated");
    const headers = { authorization: `Bearer ${config.otherToken}` };
    const answer = await fetch(`${base}/api/v1/auth/logout`, { method: "POST", headers });
    equal(answer.status, 204, "signing out");
    equal((await client.event("error"))[0].code, "session_ended", "why it ends");
    equal((await client.event("disconnect"))[0], "io server disconnect", "and then it does");
    client.socket.disconnect();
}

/// The gateway of everybody goes; the peer, on another one, speaks meanwhile.
async function reconnecting(client) {
    const before = await client.call("send_message", { roomId: room, content: "before", clientId: "before" });
    await client.event("new_message", (message) => message.clientId === "before");
    client.kept = [];
    await ask("ending");
    if (config.ending === "drained") {
        equal((await client.event("reconnect"))[0].code, "draining", "it is asked to come again");
        equal((await client.event("error"))[0].code, "draining", "why the connection ends");
    }
    const [reason] = await client.event("disconnect");
    check(reason.startsWith("transport"), reason);
    check(client.socket.active, "it comes again by itself");
    const meanwhile = client.call("send_message", { roomId: room, content: "meanwhile", clientId: "meanwhile" });
    equal((await client.event("resumed"))[0].rooms[room].status, "recovered", "nothing is lost");
    const { seq } = await meanwhile;
    await client.event("new_message", (message) => message.content === "last");
    await client.event("new_message", (message) => message.clientId === "meanwhile");
    // The two above were taken out of what is kept; all the others are there, once.
    const places = client.kept.filter((event) => event.data[1]?.roomId === room).map((event) => event.data[1].seq);
    const last = client.cursors.rooms[room];
    equal(places.length + 2, last - before.seq, `every entry once: ${places}, ${seq} and the last`);
    equal(places, [...new Set(places)].sort((a, b) => a - b), "in order");
}

function transportOf(client) {
    return client.socket.io.engine.transport.name;
}

async function upgraded(client) {
    const { engine } = client.socket.io;
    if (!config.transports && transportOf(client) !== "websocket") {
        await new Promise((resolve) => engine.once("upgrade", resolve));
    }
}

async function main() {
    const client = new Client({ auth: { token: config.token } });
    if (config.ending === "killed") {
        await refusals();
        await life(client);
        await signingOut();
    } else {
        await client.event("authenticated");
        // Where it can, it has upgraded by then.
        await inTime(upgraded(client), "the upgrade");
    }
    const expected = config.transports?.[0] ?? "websocket";
    equal(transportOf(client), expected, "the transport");
    await reconnecting(client);
    client.socket.disconnect();
    await client.event("disconnect");
}

main().then(
    () => process.stdout.write(`${JSON.stringify({ done: true })}\n`, () => process.exit(0)),
    (error) => process.stdout.write(`${JSON.stringify({ failed: String(error.stack ?? error) })}\n`, () => process.exit(1)),
);
