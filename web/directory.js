// Which rooms there are: the lists from the server, rooms that come and rooms that go.

import { all } from "./api.js";
import { hasReadMarks } from "./presence.js";
import { current, newRoom, roomName, rooms } from "./rooms.js";
import { $, toast } from "./tools.js";
import { renderLists } from "./views/lists.js";
import { renderHead, showRoom } from "./views/room.js";

export function rememberRoom(summary, { mine }) {
  let room = rooms.get(summary.id);
  if (!room) {
    room = newRoom(summary, mine);
    rooms.set(summary.id, room);
  }
  room.summary = { ...room.summary, ...summary };
  room.mine = mine;
  if (room !== current && hasReadMarks) room.unread = summary.unreadCount ?? room.unread;
  renderLists();
  if (room === current) renderHead();
  return room;
}

export function forgetRoom(id) {
  const room = rooms.get(id);
  if (!room) return;
  rooms.delete(id);
  if (room === current) {
    toast(`You are no longer in ${roomName(room)}.`);
    showRoom(null);
  }
  renderLists();
}

// The lists of rooms, anew. A route that this server does not have yet hides its part of the page.
export async function loadLists() {
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
