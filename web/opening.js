// Getting into rooms: opening, joining, talking to someone, links; and everything anew after a connection.

import { api } from "./api.js";
import { forgetRoom, loadLists, rememberRoom } from "./directory.js";
import { catchUp, load } from "./log.js";
import { flush } from "./outbox.js";
import { markRead, refreshPeople } from "./presence.js";
import { clearRoom, current, rooms } from "./rooms.js";
import { socket } from "./socket.js";
import { toast } from "./tools.js";
import { showRoom } from "./views/room.js";

// After every sign-in on a socket: whatever was missed in between is fetched from where each room stands.
export async function connected(otherStore) {
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

export async function openRoom(room) {
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

export async function joinRoom(id) {
  const joined = await api("POST", `/rooms/${id}/join`, {});
  const summary = joined?.id ? joined : await api("GET", `/rooms/${id}`);
  await openRoom(rememberRoom(summary, { mine: true }));
}

export async function openConversation(userId) {
  try {
    const conversation = await api("POST", "/conversations", { userIds: [userId], type: "consumer-to-consumer" });
    await openRoom(rememberRoom(conversation, { mine: true }));
  } catch (problem) {
    toast(problem.message);
  }
}

// A link to a room opens it, and joins it if it is public.
export function openFromAddress() {
  const id = roomIdIn(location.hash);
  if (!id || current?.id === id) return undefined;
  const room = rooms.get(id);
  return room?.mine ? openRoom(room) : joinRoom(id).catch((problem) => { toast(problem.message); showRoom(null); });
}

export function roomIdIn(text) {
  return text.match(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/i)?.[0].toLowerCase();
}
