// Messages on their way: what was written here and has not come back through the log yet.

import { session } from "./session.js";
import { socket } from "./socket.js";
import { pause, randomId } from "./tools.js";
import { renderOutbox } from "./views/messages.js";

// What was written and is not in the log yet. One at a time for each room, so that the order stays; always with the
// same clientId, so that asking again never makes a second message.
export function enqueue(room, content) {
  room.outbox.push({ clientId: randomId(), content, state: "waiting", note: "" });
  renderOutbox(room);
  flush(room);
}

export async function flush(room) {
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
export function settle(room, message) {
  if (message.author?.userId !== session?.user.id) return;
  const before = room.outbox.length;
  room.outbox = room.outbox.filter((item) => item.clientId !== message.clientId);
  const wasSent = room.sent?.delete(message.clientId);
  if (room.outbox.length !== before || wasSent) renderOutbox(room);
}
