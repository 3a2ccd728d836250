// The field that messages are written in, and telling others that someone writes.

import { enqueue } from "../outbox.js";
import { current } from "../rooms.js";
import { socket } from "../socket.js";
import { $ } from "../tools.js";

let typingSince = 0;
let typingTimer;
export function tellTyping() {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(stopTyping, 4_000);
  if (!current || Date.now() - typingSince < 3_000) return;
  typingSince = Date.now();
  if (socket.live) socket.send({ type: "typing", data: { roomId: current.id, isTyping: true } });
}

export function stopTyping() {
  clearTimeout(typingTimer);
  if (typingSince && current && socket.live) socket.send({ type: "typing", data: { roomId: current.id, isTyping: false } });
  typingSince = 0;
}

export function fitDraft() {
  $("draft").style.height = "auto";
  $("draft").style.height = `${$("draft").scrollHeight + 2}px`;
}

export function submitDraft() {
  const content = $("draft").value;
  if (!current || content.trim() === "") return;
  // Sending ends the typing on every other page by itself.
  typingSince = 0;
  clearTimeout(typingTimer);
  $("draft").value = "";
  fitDraft();
  enqueue(current, content);
}
