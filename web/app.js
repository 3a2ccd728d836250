// The chat page. REST for what is asked once, one socket for what happens; everything shown goes through textContent.
//
// Order of the parts: small tools · session and tokens · REST · socket · rooms and catching up · outbox · views ·
// start. How a client stays complete is described in docs/protocol.md; `receive` and `catchUp` below are that text
// as a program: one cursor per room, entries applied in order, a hole fetched through /sync.

// ------------------------------------------------------------------------------------------------ small tools

const $ = (id) => document.getElementById(id);

// An element with properties and children; strings become text, never markup.
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in element) element[name] = value;
    else if (value != null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A random id, also where crypto.randomUUID is missing (plain http on another host than localhost).
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function clockTime(iso) {
  const time = new Date(iso);
  const today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString([], today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

function avatar(name, id) {
  const initials = Array.from(name.trim()).slice(0, 2).join("").toUpperCase();
  const hue = Array.from(id).reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 8, 0);
  return h("span", { className: `avatar hue-${hue}`, "aria-hidden": "true" }, initials || "?");
}

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 5000);
}

// ------------------------------------------------------------------------------------------------ session and tokens

// {user, accessToken, refreshToken, expiresAt, line}. `line` names the sign-in that the tokens descend from: tabs that
// share it share one session, and must not spend the same refresh token twice.
let session = null;
const STORED = "rookery-session";
const tabs = "BroadcastChannel" in window ? new BroadcastChannel(STORED) : null;

function loadSession() {
  const own = sessionStorage.getItem(STORED);
  const kept = sessionStorage.getItem("rookery-other") ? null : localStorage.getItem(STORED);
  session = JSON.parse(own ?? kept ?? "null");
  // From now on this tab is this person, whoever is kept later.
  if (session) sessionStorage.setItem(STORED, JSON.stringify(session));
}

function saveSession(tokens, { line, keep }) {
  session = {
    user: tokens.user,
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    expiresAt: Date.now() + tokens.expiresIn * 1000,
    lifetime: tokens.expiresIn * 1000,
    line,
  };
  sessionStorage.setItem(STORED, JSON.stringify(session));
  if (keep || isKept()) localStorage.setItem(STORED, JSON.stringify(session));
  scheduleRefresh();
}

// Whether the session of this tab is the one that was kept on this device.
function isKept() {
  return JSON.parse(localStorage.getItem(STORED) ?? "null")?.line === session?.line;
}

function forgetSession() {
  if (isKept()) localStorage.removeItem(STORED);
  sessionStorage.removeItem(STORED);
  session = null;
}

// Takes over tokens that another tab of the same sign-in got.
function adopt(other) {
  if (!session || other?.line !== session.line || other.expiresAt <= session.expiresAt) return false;
  session = other;
  sessionStorage.setItem(STORED, JSON.stringify(session));
  scheduleRefresh();
  return true;
}
tabs?.addEventListener("message", ({ data }) => { if (adopt(data)) socket.renew(); });

let refreshing = null;
function refresh() {
  const spent = session?.refreshToken;
  const now = () => refreshNow(spent);
  refreshing ??= (navigator.locks ? navigator.locks.request("rookery-refresh", now) : now())
    .finally(() => { refreshing = null; });
  return refreshing;
}

// Whether another tab has refreshed meanwhile. Its word and its storage take a moment to get here.
async function refreshedElsewhere(spent) {
  await pause(100);
  adopt(JSON.parse(localStorage.getItem(STORED) ?? "null"));
  return Boolean(session) && session.refreshToken !== spent;
}

async function refreshNow(spent) {
  if (!(await refreshedElsewhere(spent))) {
    if (!session) throw new Problem(401, "unauthorized", "Signed out");
    const { line, refreshToken } = session;
    let tokens;
    try {
      tokens = await call("POST", "/auth/refresh", { refreshToken }, { bearer: false });
    } catch (problem) {
      if (problem.status === 401 && await refreshedElsewhere(spent)) return socket.renew();
      throw problem;
    }
    // Signed out, or in as someone else, while the answer was under way.
    if (session?.line !== line) throw new Problem(401, "unauthorized", "Signed out");
    saveSession(tokens, { line });
    tabs?.postMessage(session);
  }
  socket.renew();
}

let refreshTimer;
function scheduleRefresh() {
  clearTimeout(refreshTimer);
  const ahead = Math.min(90_000, session.lifetime / 2);
  refreshTimer = setTimeout(renewTokens, Math.max(1_000, session.expiresAt - ahead - Date.now()));
}

// Refreshes without anyone waiting for it; tries again while the server cannot be reached.
function renewTokens() {
  refresh().catch((problem) => {
    if (problem.status === 401) return signedOut("Your session has ended. Sign in again.");
    clearTimeout(refreshTimer);
    refreshTimer = setTimeout(renewTokens, 5_000);
  });
}

// ------------------------------------------------------------------------------------------------ REST

class Problem extends Error {
  constructor(status, code, message, { retryAfterMs, errors } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfterMs, errors: errors ?? [] });
  }
}

// One request as it is. Without an answer the problem's status is 0.
async function call(method, path, body, { bearer = true } = {}) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (bearer && session) headers.authorization = `Bearer ${session.accessToken}`;
  let response;
  try {
    const signal = AbortSignal.timeout(15_000);
    response = await fetch(`/api/v1${path}`, { method, headers, body: JSON.stringify(body), credentials: "omit", signal });
  } catch {
    throw new Problem(0, "unreachable", "The server cannot be reached.");
  }
  const json = await response.json().catch(() => null);
  if (response.ok) return json;
  const message = json?.detail ?? json?.message ?? json?.title ?? `The server answered ${response.status}.`;
  throw new Problem(response.status, json?.code ?? "unknown", message, json ?? {});
}

// One request of someone signed in: an access token that has ended is refreshed once.
async function api(method, path, body) {
  try {
    return await call(method, path, body);
  } catch (problem) {
    if (problem.status !== 401 || !session) throw problem;
    await refresh().catch((failed) => {
      if (failed.status === 401) signedOut("Your session has ended. Sign in again.");
      throw failed;
    });
    return call(method, path, body);
  }
}

// The pages of a list up to a bound, and whether that was all of it.
async function all(path) {
  const items = [];
  let after = null;
  do {
    const page = await api("GET", `${path}?limit=200${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    items.push(...page.items);
    after = page.next;
  } while (after && items.length < 1_000);
  return { items, complete: !after };
}

// ------------------------------------------------------------------------------------------------ socket

// Close codes after which coming again by itself makes no sense (docs/protocol.md); 4001 and 4002 are cured by a
// fresh token, and 4003 means that the session is over.
const STAY_CLOSED = new Set([1002, 1003, 1007, 1009, 4000, 4004]);
const REPLY_MS = 10_000;

const socket = {
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
    showConnection("Connecting …");
    if (session.expiresAt - Date.now() < 5_000) {
      try {
        await refresh();
      } catch (problem) {
        if (problem.status === 401) return signedOut("Your session has ended. Sign in again.");
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
    showConnection("");
    connected(otherStore);
  },

  closed(code) {
    this.drop();
    if (!session) return;
    if (code === 4003) return signedOut("This device was signed out.");
    if (code === 4001 || code === 4002) session.expiresAt = 0;
    if (STAY_CLOSED.has(code)) {
      const why = code === 4004 ? "Connected elsewhere too many times." : `The server closed the connection (${code}).`;
      return showConnection(why, "Connect again");
    }
    this.retry();
  },

  // Comes again after a while that grows and is never the same for two clients.
  retry() {
    const wait = Math.min(30_000, 500 * 2 ** this.attempts++) * (0.5 + Math.random());
    showConnection("Not connected. Trying again …", "Now");
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
      receive(roomId, { seq, type, data });
    } else {
      onEvent(type, data ?? {});
    }
  },
};

// What happens that is no entry of a room's log: entries of the user's stream, and what is only of the moment.
function onEvent(type, data) {
  switch (type) {
    case "room_added": rememberRoom(data, { mine: true }); break;
    case "room_removed":
    case "room_deleted": forgetRoom(data.roomId); break;
    case "user_typing": onTyping(data); break;
    case "user_status": onStatus(data); break;
    case "message_read": onRead(data); break;
    case "token_expiring": renewTokens(); break;
    case "reconnect": setTimeout(() => socket.connect(), data.retryAfterMs ?? Math.random() * 5_000); break;
    case "session_ended": break; // The connection closes with 4003 when it is this one.
    case "error": toast(data.message); break;
  }
}

// ------------------------------------------------------------------------------------------------ rooms and catching up

// Whether this server keeps read marks; found out at the first try.
let hasReadMarks = true;

// id → {summary, mine, loaded, cursor, ahead, catching, messages, prev, unread, people, typing, outbox}.
// `cursor` is the seq up to which this page has everything of the room, null as long as it has not been opened.
const rooms = new Map();
let current = null;

// How others are there: userId → status.
const statuses = new Map();

function rememberRoom(summary, { mine }) {
  let room = rooms.get(summary.id);
  if (!room) {
    room = {
      id: summary.id, summary, mine, loaded: false, cursor: null, ahead: [], catching: null,
      messages: new Map(), prev: null, unread: 0, people: [], typing: new Map(), outbox: [],
    };
    rooms.set(summary.id, room);
  }
  room.summary = { ...room.summary, ...summary };
  room.mine = mine;
  if (room !== current && hasReadMarks) room.unread = summary.unreadCount ?? room.unread;
  renderLists();
  if (room === current) renderHead();
  return room;
}

function forgetRoom(id) {
  const room = rooms.get(id);
  if (!room) return;
  rooms.delete(id);
  if (room === current) {
    toast(`You are no longer in ${roomName(room)}.`);
    showRoom(null);
  }
  renderLists();
}

function clearRoom(room) {
  Object.assign(room, { loaded: false, cursor: null, ahead: [], prev: null });
  room.messages.clear();
}

// The lists of rooms, anew. A route that this server does not have yet hides its part of the page.
async function loadLists() {
  const [listed, conversations] = await Promise.all([
    all("/rooms"),
    all("/conversations").catch(hideWhenMissing("conversations-section")),
  ]);
  const known = new Set();
  for (const summary of [...listed.items, ...(conversations?.items ?? [])]) {
    known.add(summary.id);
    rememberRoom(summary, { mine: summary.role != null || summary.type !== "room" });
  }
  if (!listed.complete || !conversations?.complete) return;
  for (const room of rooms.values()) if (!known.has(room.id)) forgetRoom(room.id);
}

function hideWhenMissing(section) {
  return (problem) => {
    if (problem.status !== 404 && problem.status !== 405) throw problem;
    $(section).hidden = true;
    return null;
  };
}

// After every sign-in on a socket: whatever was missed in between is fetched from where each room stands.
async function connected(otherStore) {
  if (otherStore) for (const room of rooms.values()) clearRoom(room);
  try {
    await loadLists();
    for (const room of rooms.values()) flush(room);
    await Promise.all([...rooms.values()].filter((room) => room.loaded).map(catchUp));
    if (!current) await openFromAddress();
    else if (current.loaded) await follow(current);
    else await openRoom(current);
  } catch (problem) {
    if (socket.live && problem.status !== 401) {
      toast(problem.message);
      // Not complete, so not connected as far as a person is concerned: everything again.
      socket.closed(1006);
    }
  }
}

// An entry of a room's log from the socket: the next one is applied, an old one dropped, and one from further ahead
// waits while the hole before it is fetched.
function receive(roomId, entry) {
  const room = rooms.get(roomId);
  if (!room) return;
  if (room.cursor === null) return applyUnopened(room, entry);
  if (entry.seq <= room.cursor) return;
  if (room.catching || entry.seq > room.cursor + 1) {
    room.ahead.push(entry);
    heal(room);
    return;
  }
  advance(room, entry);
}

// Catches up with nobody waiting for it: asks again until it worked, or a new connection does it anyway.
function heal(room) {
  const { generation } = socket;
  catchUp(room).catch(async () => {
    await pause(1_000);
    if (socket.live && generation === socket.generation && room.ahead.length > 0) heal(room);
  });
}

function advance(room, entry) {
  apply(room, entry);
  room.cursor = entry.seq;
}

// Fetches everything after the cursor, then applies what arrived meanwhile. One at a time for each room.
function catchUp(room) {
  room.catching ??= catchUpNow(room).finally(() => { room.catching = null; });
  return room.catching;
}

async function catchUpNow(room) {
  for (;;) {
    const { generation } = socket;
    let page;
    try {
      page = await api("GET", `/rooms/${room.id}/sync?since=${room.cursor}&limit=200`);
    } catch (problem) {
      if (problem.status === 403 || problem.status === 404) return forgetRoom(room.id);
      // The log is not the one that the cursor belongs to: start over.
      if (problem.status === 409) return startOver(room);
      throw problem;
    }
    if (page.storeEpoch && socket.epoch && page.storeEpoch !== socket.epoch) return startOver(room);
    for (const entry of page.items) {
      if (entry.seq > room.cursor) advance(room, entry);
    }
    // What lies before the first visible place, or is out of sight at the end, does not count as missing.
    if (page.items.length === 0 && room.cursor < page.head) room.cursor = page.head;
    if (room.cursor < page.head) continue;
    const ahead = room.ahead.sort((a, b) => a.seq - b.seq);
    room.ahead = [];
    for (const entry of ahead) {
      if (entry.seq === room.cursor + 1) advance(room, entry);
      else if (entry.seq > room.cursor) room.ahead.push(entry);
    }
    if (room.ahead.length === 0 && generation === socket.generation) return;
    await pause(50);
  }
}

async function startOver(room) {
  clearRoom(room);
  if (room === current) {
    renderAllMessages(room);
    await load(room);
  }
}

// An entry of a room that was not opened yet: only the list shows it.
function applyUnopened(room, { type, data }) {
  if (type === "new_message" && data) noteMessage(room, data);
  else if (type === "room_updated" && data) rememberRoom({ ...data, id: room.id }, room);
  renderLists();
}

function apply(room, { seq, type, data }) {
  if (!data) return;
  switch (type) {
    case "new_message":
      settle(room, data);
      putMessage(room, data);
      room.typing.delete(data.author.userId);
      noteMessage(room, data);
      renderTyping();
      break;
    case "message_updated":
    case "message_deleted":
      // Of messages further up than what is shown nothing needs to be known.
      if (room.messages.has(data.seq)) putMessage(room, data);
      break;
    case "user_joined":
    case "user_left":
      putMessage(room, { seq, event: `${data.username ?? "Someone"} ${type === "user_joined" ? "joined" : "left"}` });
      if (room === current) refreshPeople(room).catch(() => {});
      break;
    case "room_updated":
      rememberRoom({ ...data, id: room.id, role: data.role ?? room.summary.role }, room);
      break;
  }
}

// Puts a message into its place; an older state of one that is there already changes nothing.
function putMessage(room, message) {
  const known = room.messages.get(message.seq);
  if (known && (known.rev ?? 0) >= (message.rev ?? 0)) return;
  room.messages.set(message.seq, message);
  if (room === current) renderMessage(room, message);
}

// What a new message does to the list, and to who is not looking.
function noteMessage(room, message) {
  const { summary } = room;
  if (summary.lastMessage?.seq >= message.seq) return;
  summary.lastMessage = message;
  summary.lastActivityAt = message.createdAt;
  const looking = room === current && document.visibilityState === "visible";
  if (message.author.userId !== session?.user.id && !looking) room.unread++;
  if (looking) markRead(room);
  renderLists();
}

async function load(room) {
  if (room.loaded) return;
  const page = await api("GET", `/rooms/${room.id}/messages?limit=50`);
  clearRoom(room);
  for (const message of page.items) {
    room.messages.set(message.seq, message);
    settle(room, message);
  }
  room.prev = page.prev;
  room.loaded = true;
  // From the newest message on the log tells the rest, so that history and live entries meet without a gap.
  room.cursor = page.items.at(-1)?.seq ?? 0;
  renderAllMessages(room);
  await catchUp(room);
}

async function loadOlder(room) {
  if (!room.prev || room.loadingOlder) return;
  room.loadingOlder = true;
  try {
    const page = await api("GET", `/rooms/${room.id}/messages?limit=50&before=${encodeURIComponent(room.prev)}`);
    for (const message of page.items) if (!room.messages.has(message.seq)) room.messages.set(message.seq, message);
    room.prev = page.prev;
    if (room === current) {
      const scroller = $("scroller");
      const fromBottom = scroller.scrollHeight - scroller.scrollTop;
      renderAllMessages(room);
      scroller.scrollTop = scroller.scrollHeight - fromBottom;
    }
  } catch (problem) {
    toast(problem.message);
  } finally {
    room.loadingOlder = false;
  }
}

// Makes sure that this connection follows the room (a room just joined, or one of very many), and who is in it.
async function follow(room) {
  if (!socket.live || !room.mine) return;
  try {
    await socket.command("join_room", { roomId: room.id });
    await refreshPeople(room);
  } catch (problem) {
    if (problem.status !== 0) toast(problem.message);
  }
}

async function openRoom(room) {
  showRoom(room);
  try {
    await follow(room);
    await load(room);
    if (room === current) markRead(room);
  } catch (problem) {
    if (problem.status === 403 || problem.status === 404) forgetRoom(room.id);
    toast(problem.message);
  }
}

function markRead(room) {
  const had = room.unread;
  room.unread = 0;
  renderLists();
  const newest = room.summary.lastMessage;
  if (!hasReadMarks || !newest || !room.loaded || newest.seq <= (room.readUpTo ?? 0)) return;
  if (!had && newest.author.userId === session.user.id) return;
  room.readUpTo = newest.seq;
  api("POST", `/rooms/${room.id}/read`, {}).catch((problem) => {
    if (problem.status === 404 || problem.status === 405) hasReadMarks = false;
  });
}

// Another device of this user has read the room.
function onRead({ roomId, userId }) {
  const room = rooms.get(roomId);
  if (!room || userId !== session.user.id) return;
  room.unread = 0;
  renderLists();
}

function onTyping({ roomId, userId, username, isTyping }) {
  const room = rooms.get(roomId);
  if (!room || userId === session.user.id) return;
  clearTimeout(room.typing.get(userId)?.timer);
  room.typing.delete(userId);
  if (isTyping) {
    const timer = setTimeout(() => { room.typing.delete(userId); renderTyping(); }, 8_000);
    room.typing.set(userId, { username, timer });
  }
  renderTyping();
}

function onStatus({ userId, status }) {
  statuses.set(userId, status);
  renderPeople();
  renderLists();
}

async function refreshPeople(room) {
  if (!socket.live) return;
  const { users } = await socket.command("get_room_users", { roomId: room.id });
  room.people = users;
  for (const user of users) {
    const known = statuses.get(user.userId);
    if (!user.isOnline) statuses.set(user.userId, "offline");
    else if (!known || known === "offline") statuses.set(user.userId, "online");
  }
  room.summary.memberCount = users.length;
  if (room === current) {
    renderHead();
    renderPeople();
  }
}

// ------------------------------------------------------------------------------------------------ outbox

// What was written and is not in the log yet. One at a time for each room, so that the order stays; always with the
// same clientId, so that asking again never makes a second message.
function enqueue(room, content) {
  room.outbox.push({ clientId: randomId(), content, state: "waiting", note: "" });
  renderOutbox(room);
  flush(room);
}

async function flush(room) {
  if (room.flushing) return;
  room.flushing = true;
  try {
    while (socket.live && room.outbox[0] && room.outbox[0].state !== "failed") {
      const item = room.outbox[0];
      try {
        await socket.command("send_message", { roomId: room.id, content: item.content, clientId: item.clientId });
        // Usually new_message has settled it by now, or does in a moment; the acknowledgement is as good.
        room.outbox = room.outbox.filter((other) => other !== item);
        room.sent = (room.sent ?? new Map()).set(item.clientId, item);
        if (![...room.messages.values()].some((message) => isMine(message, item.clientId))) item.state = "sent";
        else room.sent.delete(item.clientId);
      } catch (problem) {
        if (problem.code === "disconnected") break; // Asked again after the next sign-in.
        if (problem.code === "rate_limited" || problem.code === "unavailable") {
          item.note = problem.code === "rate_limited" ? "A little slower, please: sent in a moment." : "Trying again …";
          renderOutbox(room);
          await pause(problem.retryAfterMs ?? 1_000);
          item.note = "";
        } else {
          item.state = "failed";
          item.note = problem.message;
        }
      }
      renderOutbox(room);
    }
  } finally {
    room.flushing = false;
    renderOutbox(room);
  }
}

function isMine(message, clientId) {
  return message.clientId === clientId && message.author?.userId === session?.user.id;
}

// A message of one's own has come back through the log: it is no longer on its way.
function settle(room, message) {
  if (message.author?.userId !== session?.user.id) return;
  const before = room.outbox.length;
  room.outbox = room.outbox.filter((item) => item.clientId !== message.clientId);
  const wasSent = room.sent?.delete(message.clientId);
  if (room.outbox.length !== before || wasSent) renderOutbox(room);
}

// ------------------------------------------------------------------------------------------------ views: lists

function roomName(room) {
  const { summary } = room;
  if (summary.name) return summary.name;
  const others = (summary.members ?? []).filter((member) => member.userId !== session?.user.id);
  return others.map((member) => member.displayName).join(", ") || "Conversation";
}

let listsScheduled = false;
function renderLists() {
  if (listsScheduled) return;
  listsScheduled = true;
  requestAnimationFrame(() => {
    listsScheduled = false;
    if (session) renderListsNow();
  });
}

function renderListsNow() {
  const focused = document.activeElement?.dataset?.room;
  const activity = (room) => room.summary.lastActivityAt ?? room.summary.createdAt ?? "";
  const sorted = [...rooms.values()].sort((a, b) => activity(b).localeCompare(activity(a)));
  fillList("my-rooms", sorted.filter((room) => room.mine && room.summary.type === "room"), "No rooms yet.");
  const conversations = sorted.filter((room) => room.mine && room.summary.type !== "room");
  $("conversations-section").hidden = conversations.length === 0;
  fillList("conversations", conversations, "");
  const open = sorted.filter((room) => !room.mine);
  $("public-rooms-section").hidden = open.length === 0;
  fillList("public-rooms", open, "");
  if (focused) document.querySelector(`button[data-room="${CSS.escape(focused)}"]`)?.focus();
  const unread = sorted.reduce((sum, room) => sum + (room.mine ? room.unread : 0), 0);
  document.title = `${unread ? `(${unread}) ` : ""}${current ? `${roomName(current)} · ` : ""}Rookery`;
}

function fillList(id, list, empty) {
  const entries = list.map((room) => h("li", {}, listEntry(room)));
  $(id).replaceChildren(...(entries.length || !empty ? entries : [h("li", { className: "none" }, empty)]));
}

function listEntry(room) {
  const { summary } = room;
  const name = roomName(room);
  const last = summary.lastMessage;
  const said = last && (last.deletedAt ? "Message deleted" : `${last.author.userId === session.user.id ? "You" : last.author.displayName}: ${last.content}`);
  const about = room.mine ? said || summary.description : `${summary.memberCount} in it`;
  const button = h("button", { type: "button", className: "entry" },
    avatar(name, room.id),
    h("span", { className: "who" }, h("span", { className: "name" }, name), h("small", {}, about || " ")),
    room.unread ? h("span", { className: "badge", "aria-label": `${room.unread} unread` }, String(room.unread)) : null);
  button.dataset.room = room.id;
  if (room === current) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => { if (room.mine) openRoom(room); else joinRoom(room.id).catch((problem) => toast(problem.message)); });
  return button;
}

// ------------------------------------------------------------------------------------------------ views: a room

function showRoom(room) {
  if (current && current !== room) {
    current.draft = $("draft").value;
    stopTyping();
  }
  current = room;
  $("app").classList.toggle("in-room", room !== null);
  $("no-room").hidden = room !== null;
  $("the-room").hidden = room === null;
  history.replaceState(null, "", room ? `#/rooms/${room.id}` : location.pathname);
  renderLists();
  if (!room) return;
  $("draft").value = room.draft ?? "";
  fitDraft();
  renderHead();
  renderPeople();
  renderAllMessages(room);
  renderTyping();
  if (matchMedia("(hover: hover)").matches) $("draft").focus();
}

function renderHead() {
  const { summary } = current;
  $("room-name").textContent = roomName(current);
  const count = summary.memberCount === 1 ? "1 person" : `${summary.memberCount} people`;
  const sort = summary.type === "room" ? `${summary.visibility} room` : "conversation";
  $("room-about").textContent = [summary.description, sort, count].filter(Boolean).join(" · ");
  $("copy-link").hidden = $("leave-room").hidden = summary.type !== "room";
}

function renderAllMessages(room) {
  if (room !== current) return;
  const seqs = [...room.messages.keys()].sort((a, b) => a - b);
  const list = $("messages");
  list.setAttribute("aria-busy", "true");
  list.replaceChildren(...seqs.map((seq) => messageElement(room.messages.get(seq))));
  for (const element of list.children) group(element);
  list.removeAttribute("aria-busy");
  $("older").hidden = !room.prev;
  renderOutbox(room);
  toBottom();
}

// Puts one message into the list without touching the others.
function renderMessage(room, message) {
  const follows = isAtBottom() || message.author?.userId === session.user.id;
  const list = $("messages");
  const element = messageElement(message);
  const old = list.querySelector(`[data-seq="${message.seq}"]`);
  if (old) {
    old.replaceWith(element);
  } else {
    let next = null;
    for (let at = list.lastElementChild; at && Number(at.dataset.seq) > message.seq; at = at.previousElementSibling) next = at;
    list.insertBefore(element, next);
  }
  group(element);
  if (element.nextElementSibling) group(element.nextElementSibling);
  if (follows) toBottom();
  else if (!old) $("to-bottom").hidden = false;
}

function messageElement(message) {
  if (message.event) {
    const event = h("li", { className: "event" }, message.event);
    event.dataset.seq = message.seq;
    return event;
  }
  const { author } = message;
  const mine = author.userId === session.user.id;
  const element = h("li", { className: `message${mine ? " mine" : ""}${message.deletedAt ? " deleted" : ""}` },
    avatar(author.displayName, author.userId),
    h("div", { className: "by" },
      h("strong", { title: author.username ? `@${author.username}` : "" }, mine ? "You" : author.displayName),
      h("time", { dateTime: message.createdAt }, clockTime(message.createdAt))),
    h("div", { className: "body", title: new Date(message.createdAt).toLocaleString(), dir: "auto" },
      message.deletedAt ? "Message deleted" : message.content));
  const notes = [
    message.editedAt && !message.deletedAt ? "edited" : "",
    ...(message.reactions ?? []).map((reaction) => `${reaction.emoji} ${reaction.count}`),
  ].filter(Boolean);
  if (notes.length) element.append(h("div", { className: "note" }, notes.join(" · ")));
  if (message.attachment && /^https?:/.test(message.attachment.url)) {
    const { url, name } = message.attachment;
    element.append(h("div", { className: "note" }, h("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, name)));
  }
  element.dataset.seq = message.seq;
  element.dataset.author = author.userId;
  element.dataset.at = message.createdAt;
  return element;
}

// What one person says within five minutes stands under one name.
function group(element) {
  const before = element.previousElementSibling;
  const near = before && Date.parse(element.dataset.at) - Date.parse(before.dataset.at) < 5 * 60_000;
  element.classList.toggle("same", Boolean(near && element.dataset.author && before.dataset.author === element.dataset.author));
}

function renderOutbox(room) {
  if (room !== current) return;
  const items = [...(room.sent?.values() ?? []), ...room.outbox];
  const follows = isAtBottom();
  $("outbox").replaceChildren(...items.map((item) => outboxElement(room, item)));
  const last = $("messages").lastElementChild?.dataset.author;
  for (const [index, element] of [...$("outbox").children].entries()) {
    element.classList.toggle("same", index > 0 || last === session.user.id);
  }
  if (follows || items.some((item) => item.state === "waiting")) toBottom();
}

function outboxElement(room, item) {
  const note = h("div", { className: "note" }, item.note || (item.state === "waiting" && !socket.live ? "Waiting for a connection …" : ""));
  if (item.state === "failed") {
    note.append(
      h("button", { type: "button", onclick: () => { item.state = "waiting"; item.note = ""; renderOutbox(room); flush(room); } }, "Try again"),
      h("button", { type: "button", onclick: () => { room.outbox = room.outbox.filter((other) => other !== item); renderOutbox(room); flush(room); } }, "Discard"));
  }
  const { user } = session;
  return h("li", { className: `message mine ${item.state}` }, avatar(user.displayName, user.id),
    h("div", { className: "by" }, h("strong", {}, "You")), h("div", { className: "body", dir: "auto" }, item.content), note);
}

function isAtBottom() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  return scrollHeight - scrollTop - clientHeight < 80;
}

function toBottom() {
  $("scroller").scrollTop = $("scroller").scrollHeight;
  $("to-bottom").hidden = true;
}

function renderTyping() {
  const names = current ? [...current.typing.values()].map((who) => who.username ?? "Someone") : [];
  $("typing").textContent = names.length === 0 ? ""
    : names.length > 3 ? "Several people are typing …"
    : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing …`;
}

function renderPeople() {
  if (!current) return;
  const names = new Map((current.summary.members ?? []).map((member) => [member.userId, member.displayName]));
  const online = (user) => (statuses.get(user.userId) ?? "offline") !== "offline";
  const people = [...current.people].sort((a, b) => online(b) - online(a) || (a.username ?? "").localeCompare(b.username ?? ""));
  $("member-list").replaceChildren(...people.map((user) => {
    const status = statuses.get(user.userId) ?? "offline";
    const me = user.userId === session.user.id;
    const talk = h("button", { type: "button", onclick: () => openConversation(user.userId) }, "Talk");
    return h("li", { className: "member" },
      h("span", { className: `dot ${status}`, role: "img", "aria-label": status, title: status }),
      h("span", { className: "who" }, me ? `${user.username} (you)` : names.get(user.userId) ?? user.username ?? "Deleted user"),
      me || current.summary.type !== "room" ? null : talk);
  }));
}

// ------------------------------------------------------------------------------------------------ views: doing things

async function joinRoom(id) {
  const joined = await api("POST", `/rooms/${id}/join`, {});
  const summary = joined?.id ? joined : await api("GET", `/rooms/${id}`);
  await openRoom(rememberRoom(summary, { mine: true }));
}

async function openConversation(userId) {
  try {
    const conversation = await api("POST", "/conversations", { userIds: [userId], type: "consumer-to-consumer" });
    await openRoom(rememberRoom(conversation, { mine: true }));
  } catch (problem) {
    toast(problem.message);
  }
}

// A link to a room opens it, and joins it if it is public.
function openFromAddress() {
  const id = roomIdIn(location.hash);
  if (!id || current?.id === id) return undefined;
  const room = rooms.get(id);
  return room?.mine ? openRoom(room) : joinRoom(id).catch((problem) => { toast(problem.message); showRoom(null); });
}

function roomIdIn(text) {
  return text.match(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/i)?.[0].toLowerCase();
}

let typingSince = 0;
let typingTimer;
function tellTyping() {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(stopTyping, 4_000);
  if (!current || Date.now() - typingSince < 3_000) return;
  typingSince = Date.now();
  if (socket.live) socket.send({ type: "typing", data: { roomId: current.id, isTyping: true } });
}

function stopTyping() {
  clearTimeout(typingTimer);
  if (typingSince && current && socket.live) socket.send({ type: "typing", data: { roomId: current.id, isTyping: false } });
  typingSince = 0;
}

function fitDraft() {
  $("draft").style.height = "auto";
  $("draft").style.height = `${$("draft").scrollHeight + 2}px`;
}

function submitDraft() {
  const content = $("draft").value;
  if (!current || content.trim() === "") return;
  // Sending ends the typing on every other page by itself.
  typingSince = 0;
  clearTimeout(typingTimer);
  $("draft").value = "";
  fitDraft();
  enqueue(current, content);
}

let found = 0;
async function findPeople(text) {
  const mine = ++found;
  const page = text ? await api("GET", `/users/search?q=${encodeURIComponent(text)}&limit=8`) : { items: [] };
  if (mine !== found) return;
  $("people").replaceChildren(...page.items.filter((user) => user.id !== session.user.id).map((user) => {
    const open = () => {
      $("find-person-input").value = "";
      $("people").replaceChildren();
      openConversation(user.id);
    };
    return h("li", {}, h("button", { type: "button", className: "entry", onclick: open }, avatar(user.displayName, user.id),
      h("span", { className: "who" }, h("span", { className: "name" }, user.displayName), h("small", {}, `@${user.username}`))));
  }));
}

function dialog(id, submit) {
  const box = $(`${id}-dialog`);
  const form = $(`${id}-form`);
  const problem = form.querySelector(".error");
  form.querySelector("[data-close]").addEventListener("click", () => box.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      await submit(new FormData(form));
      form.reset();
      box.close();
    } catch (failed) {
      problem.textContent = failed.message;
    }
  });
  return () => {
    problem.textContent = "";
    box.showModal();
  };
}

// ------------------------------------------------------------------------------------------------ views: sign-in

let makingAccount = false;
function showSignIn(message = "") {
  document.title = "Rookery";
  $("app").hidden = true;
  $("sign-in").hidden = false;
  $("new-account").hidden = !makingAccount;
  $("old-account").hidden = makingAccount;
  $("sign-in-title").textContent = makingAccount ? "Make an account" : "Sign in";
  $("sign-in-submit").textContent = makingAccount ? "Make it" : "Sign in";
  $("sign-in-switch").textContent = makingAccount ? "Have an account? Sign in" : "New here? Make an account";
  $("sign-in-form").password.autocomplete = makingAccount ? "new-password" : "current-password";
  for (const error of $("sign-in-form").querySelectorAll(".error")) error.textContent = "";
  for (const input of $("sign-in-form").elements) input.removeAttribute("aria-invalid");
  $("sign-in-problem").textContent = message;
  $("sign-in-form")[makingAccount ? "username" : "identifier"].focus();
}

async function signIn(event) {
  event.preventDefault();
  showSignIn();
  const form = $("sign-in-form");
  const text = (name) => form[name].value.trim() || undefined;
  const password = form.password.value;
  const body = makingAccount
    ? { username: text("username"), email: text("email"), displayName: text("displayName"), password }
    : { identifier: text("identifier"), password };
  $("sign-in-submit").disabled = true;
  try {
    const tokens = await call("POST", makingAccount ? "/auth/register" : "/auth/login", body, { bearer: false });
    const keep = form.keep.checked;
    if (keep) sessionStorage.removeItem("rookery-other");
    else sessionStorage.setItem("rookery-other", "1");
    saveSession(tokens, { line: randomId(), keep });
    form.reset();
    enter();
  } catch (problem) {
    for (const { field, message } of problem.errors) {
      const place = $(`${field}-error`);
      if (place && form[field]) {
        place.textContent = message;
        form[field].setAttribute("aria-invalid", "true");
      }
    }
    const shown = problem.errors.length && problem.errors.every(({ field }) => $(`${field}-error`));
    const wait = problem.retryAfterMs ? ` Try again in ${Math.ceil(problem.retryAfterMs / 60_000)} min.` : "";
    $("sign-in-problem").textContent = shown ? "" : problem.message + wait;
  } finally {
    $("sign-in-submit").disabled = false;
  }
}

// From here on someone is signed in.
function enter() {
  const { user } = session;
  $("sign-in").hidden = true;
  $("app").hidden = false;
  $("my-avatar").replaceWith(Object.assign(avatar(user.displayName, user.id), { id: "my-avatar" }));
  $("my-name").textContent = user.displayName;
  $("my-username").textContent = `@${user.username}`;
  scheduleRefresh();
  renderLists();
  socket.connect();
  // Search is there as soon as the server has it.
  api("GET", `/users/search?q=${encodeURIComponent(user.username)}&limit=1`)
    .then(() => { $("find-person").hidden = false; }, () => { $("find-person").hidden = true; });
}

function signedOut(message) {
  forgetSession();
  clearTimeout(refreshTimer);
  clearTimeout(socket.timer);
  socket.drop();
  socket.epoch = null;
  showRoom(null);
  rooms.clear();
  statuses.clear();
  makingAccount = false;
  showSignIn(message);
}

function showConnection(text, action) {
  $("connection").replaceChildren(text);
  if (action) $("connection").append(h("button", { type: "button", onclick: () => socket.connect() }, action));
  if (current) renderOutbox(current);
}

// ------------------------------------------------------------------------------------------------ start

$("sign-in-form").addEventListener("submit", signIn);
$("sign-in-switch").addEventListener("click", () => { makingAccount = !makingAccount; showSignIn(); });
$("sign-out").addEventListener("click", async () => {
  await api("POST", "/auth/logout", {}).catch(() => {});
  if (session) signedOut("");
});
$("other-account").addEventListener("click", () => {
  // The session stays alive for other tabs; this one forgets it.
  sessionStorage.setItem("rookery-other", "1");
  const kept = localStorage.getItem(STORED);
  signedOut("");
  if (kept) localStorage.setItem(STORED, kept);
});

const openRoomDialog = dialog("room", async (form) => {
  const description = form.get("description").trim() || undefined;
  const visibility = form.get("private") ? "private" : "public";
  const summary = await api("POST", "/rooms", { name: form.get("name").trim(), description, visibility });
  openRoom(rememberRoom(summary, { mine: true }));
});
const openJoinDialog = dialog("join", async (form) => {
  const id = roomIdIn(form.get("room"));
  if (!id) throw new Problem(0, "invalid", "This is neither a room's link nor its id.");
  await joinRoom(id);
});
$("new-room").addEventListener("click", openRoomDialog);
$("join-by-id").addEventListener("click", openJoinDialog);

$("find-person").addEventListener("submit", (event) => event.preventDefault());
let findTimer;
$("find-person-input").addEventListener("input", ({ target }) => {
  clearTimeout(findTimer);
  findTimer = setTimeout(() => findPeople(target.value.trim()).catch((problem) => toast(problem.message)), 250);
});

$("composer").addEventListener("submit", (event) => { event.preventDefault(); submitDraft(); });
$("draft").addEventListener("input", () => { fitDraft(); tellTyping(); });
$("draft").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submitDraft();
});

$("back").addEventListener("click", () => showRoom(null));
$("older").addEventListener("click", () => loadOlder(current));
$("to-bottom").addEventListener("click", toBottom);
$("scroller").addEventListener("scroll", () => { if (isAtBottom()) $("to-bottom").hidden = true; });
$("show-members").addEventListener("click", ({ currentTarget }) => {
  $("members").hidden = !$("members").hidden;
  currentTarget.setAttribute("aria-expanded", String(!$("members").hidden));
});
$("copy-link").addEventListener("click", async () => {
  const link = `${location.origin}/#/rooms/${current.id}`;
  await navigator.clipboard?.writeText(link).then(() => toast("The link is in your clipboard."), () => toast(link)) ?? toast(link);
});
$("leave-room").addEventListener("click", async () => {
  const room = current;
  try {
    await api("POST", `/rooms/${room.id}/leave`, {});
    if (current === room) showRoom(null);
    rooms.delete(room.id);
    await loadLists();
  } catch (problem) {
    toast(problem.message);
  }
});

addEventListener("hashchange", () => { if (session) openFromAddress(); });
addEventListener("online", () => socket.nudge());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || !session) return;
  socket.nudge();
  if (current) markRead(current);
});
// Who is there in the open room; and a way to notice a connection that died without a word.
setInterval(() => { if (socket.live && current) refreshPeople(current).catch(() => {}); }, 30_000);

loadSession();
if (session) enter();
else showSignIn();
