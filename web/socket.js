// The one connection for what happens: signing in on it, commands and their replies, coming again when it is lost. What
// it hears about rooms and people goes to others over the bus. docs/protocol.md describes the frames.

import { emit } from "./bus.js";
import { Problem } from "./rest.js";
import { refresh, session } from "./session.js";

// Close codes after which coming again by itself makes no sense (docs/protocol.md); 4001 and 4002 are cured by a
// fresh token, and 4003 means that the session is over.
const STAY_CLOSED = new Set([1002, 1003, 1007, 1009, 4000, 4004]);
const REPLY_MS = 10_000;

export const socket = {
  ws: null,
  live: false,
  attempts: 0,
  // How many times this page has signed in on a socket: what was fetched before the last one may lack something.
  generation: 0,
  timer: null,
  nextId: 1,
  waiting: new Map(),
  epoch: null,

  async connect() {
    clearTimeout(this.timer);
    this.drop();
    if (!session) return;
    emit("connection", "Connecting …");
    if (session.expiresAt - Date.now() < 5_000) {
      try {
        await refresh();
      } catch (problem) {
        if (problem.status === 401) return emit("signed-out", "Your session has ended. Sign in again.");
        return this.retry();
      }
      if (this.ws || !session) return;
    }
    const ws = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    this.ws = ws;
    const opening = setTimeout(() => ws.close(), REPLY_MS);
    ws.onopen = () => {
      clearTimeout(opening);
      // The token goes in a frame: a URL would end up in somebody's log.
      this.command("authenticate", { token: session?.accessToken }).then((data) => this.signedIn(data), () => ws.close());
    };
    ws.onmessage = ({ data }) => this.receive(JSON.parse(data));
    ws.onclose = ({ code }) => {
      clearTimeout(opening);
      if (this.ws === ws) this.closed(code);
    };
  },

  // Leaves the connection there is, without a word to anyone who waits for a new one.
  drop() {
    const ws = this.ws;
    this.ws = null;
    this.live = false;
    ws?.close();
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(new Problem(0, "disconnected", "The connection was lost."));
    }
    this.waiting.clear();
  },

  signedIn({ storeEpoch }) {
    const otherStore = this.epoch !== null && this.epoch !== storeEpoch;
    this.epoch = storeEpoch;
    this.live = true;
    this.generation++;
    this.attempts = 0;
    emit("connection", "");
    emit("connected", otherStore);
  },

  closed(code) {
    this.drop();
    if (!session) return;
    if (code === 4003) return emit("signed-out", "This device was signed out.");
    if (code === 4001 || code === 4002) session.expiresAt = 0;
    if (STAY_CLOSED.has(code)) {
      const why = code === 4004 ? "Connected elsewhere too many times." : `The server closed the connection (${code}).`;
      return emit("connection", why, "Connect again");
    }
    this.retry();
  },

  // Comes again after a while that grows and is never the same for two clients.
  retry() {
    const wait = Math.min(30_000, 500 * 2 ** this.attempts++) * (0.5 + Math.random());
    emit("connection", "Not connected. Trying again …", "Now");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), wait);
  },

  // For when something says that the network is back.
  nudge() {
    if (session && !this.ws) this.connect();
  },

  // Gives a live connection the fresh token.
  renew() {
    if (this.live) this.command("authenticate", { token: session.accessToken }).catch(() => {});
  },

  send(frame) {
    if (this.ws?.readyState !== WebSocket.OPEN) return false;
    this.ws.send(JSON.stringify(frame));
    return true;
  },

  // A command and its reply. A connection that does not answer is given up: it is the only way to notice that it died.
  command(type, data) {
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      if (!this.send({ id, type, data })) return reject(new Problem(0, "disconnected", "Not connected."));
      const ws = this.ws;
      const timer = setTimeout(() => { if (this.ws === ws) this.closed(1006); }, REPLY_MS);
      this.waiting.set(id, { resolve, reject, timer });
    });
  },

  receive({ id, type, data, roomId, seq }) {
    const waiting = this.waiting.get(id);
    if (waiting) {
      this.waiting.delete(id);
      clearTimeout(waiting.timer);
      if (type === "error") waiting.reject(new Problem(0, data.code, data.message, data));
      else waiting.resolve(data);
    } else if (roomId && seq) {
      emit("entry", roomId, { seq, type, data });
    } else {
      emit("event", type, data ?? {});
    }
  },
};
