// A room's log on this page, complete and in order: one cursor per room, entries applied one after the other, a hole
// fetched through /sync. docs/protocol.md describes this; `receive` and `catchUp` are that text as a program.

import { api } from "./api.js";
import { forgetRoom, rememberRoom } from "./directory.js";
import { settle } from "./outbox.js";
import { markRead, refreshPeople } from "./presence.js";
import { clearRoom, current, rooms } from "./rooms.js";
import { session } from "./session.js";
import { socket } from "./socket.js";
import { $, pause, toast } from "./tools.js";
import { renderLists } from "./views/lists.js";
import { renderAllMessages, renderMessage } from "./views/messages.js";
import { renderTyping } from "./views/room.js";

// An entry of a room's log from the socket: the next one is applied, an old one dropped, and one from further ahead
// waits while the hole before it is fetched.
export function receive(roomId, entry) {
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
export function catchUp(room) {
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

export async function load(room) {
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

export async function loadOlder(room) {
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
