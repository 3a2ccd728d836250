// What this page knows about rooms and people, and which room is open. Nothing here draws or asks the server.

import { session } from "./session.js";

// id → {summary, mine, loaded, cursor, ahead, catching, messages, prev, unread, people, typing, outbox}.
// `cursor` is the seq up to which this page has everything of the room, null as long as it has not been opened.
export const rooms = new Map();
export let current = null;

export function setCurrent(room) {
  current = room;
}

// How others are there: userId → status.
export const statuses = new Map();

export function newRoom(summary, mine) {
  return {
    id: summary.id, summary, mine, loaded: false, cursor: null, ahead: [], catching: null,
    messages: new Map(), prev: null, unread: 0, people: [], typing: new Map(), outbox: [],
  };
}

export function clearRoom(room) {
  Object.assign(room, { loaded: false, cursor: null, ahead: [], prev: null });
  room.messages.clear();
}

export function roomName(room) {
  const { summary } = room;
  if (summary.name) return summary.name;
  const others = (summary.members ?? []).filter((member) => member.userId !== session?.user.id);
  return others.map((member) => member.displayName).join(", ") || "Conversation";
}
