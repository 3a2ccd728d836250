// What people do besides writing: who is there, who types, and how far this user has read.

import { api } from "./api.js";
import { current, rooms, statuses } from "./rooms.js";
import { session } from "./session.js";
import { socket } from "./socket.js";
import { renderLists } from "./views/lists.js";
import { renderHead, renderPeople, renderTyping } from "./views/room.js";

// Whether this server keeps read marks; found out at the first try.
export let hasReadMarks = true;

export function markRead(room) {
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
export function onRead({ roomId, userId }) {
  const room = rooms.get(roomId);
  if (!room || userId !== session.user.id) return;
  room.unread = 0;
  renderLists();
}

export function onTyping({ roomId, userId, username, isTyping }) {
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

export function onStatus({ userId, status }) {
  statuses.set(userId, status);
  renderPeople();
  renderLists();
}

export async function refreshPeople(room) {
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
