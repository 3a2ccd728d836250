// The server of npm's `socket.io`, in the place of a gateway: the same clients, the same events from the same Redis.
// What it is told comes in the environment; it ends with its standard input.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";

const { PEER_MODULES, PEER_REDIS, PEER_PREFIX, PEER_MEMBERS } = process.env;
const { Server } = createRequire(`${PEER_MODULES}/`)("socket.io");
const http = createServer();
const io = new Server(http);

// Users and rooms exist by their numbers; a token says whose it is, and is believed.
const roomOf = (user) => Math.floor(parseInt(user.slice(-12), 16) / Number(PEER_MEMBERS));
const idOf = (room) => `01900000-0001-7000-8000-${room.toString(16).padStart(12, "0")}`;

io.on("connection", (socket) => {
    const [, claims] = socket.handshake.headers.authorization.split(" ")[1].split(".");
    socket.join(idOf(roomOf(JSON.parse(Buffer.from(claims, "base64url")).sub)));
    socket.emit("authenticated", {});
});

// An event on the bus: a header with the room at byte 4 and the number at byte 36, and the data from byte 84 on.
function deliver(event) {
    const hex = event.toString("hex", 4, 20);
    const roomId = hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
    const seq = Number(event.readBigUInt64BE(36));
    io.to(roomId).emit("new_message", JSON.parse(event.toString("utf8", 84)), { roomId, seq });
}

// As much of Redis' protocol as a subscriber hears: arrays of bulk strings, the last one of a message its payload.
let rest = Buffer.alloc(0);
function hear(bytes) {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
        const items = [];
        let at = rest.indexOf("\r\n");
        if (at < 0) return;
        const count = Number(rest.toString("latin1", 1, at));
        at += 2;
        while (items.length < count) {
            const end = rest.indexOf("\r\n", at);
            if (end < 0) return;
            const head = rest.toString("latin1", at, end);
            at = end + 2;
            if (head[0] === ":") {
                items.push(head);
                continue;
            }
            const length = Number(head.slice(1));
            if (rest.length < at + length + 2) return;
            items.push(rest.subarray(at, at + length));
            at += length + 2;
        }
        rest = rest.subarray(at);
        if (String(items[0]) === "pmessage") deliver(items[3]);
    }
}

const { hostname, port } = new URL(PEER_REDIS);
const redis = connect(Number(port), hostname, () => {
    const pattern = `${PEER_PREFIX}:events:*`;
    redis.write(`*2\r\n$10\r\nPSUBSCRIBE\r\n$${pattern.length}\r\n${pattern}\r\n`);
    http.listen(0, "127.0.0.1", () => process.stdout.write(`listening on 127.0.0.1:${http.address().port}\n`));
});
redis.on("data", hear);
process.stdin.on("end", () => process.exit(0)).resume();
