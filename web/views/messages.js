// The messages of the open room, those on their way below them, and where the reader has scrolled to.

import { emit } from "../bus.js";
import { current } from "../rooms.js";
import { session } from "../session.js";
import { socket } from "../socket.js";
import { $, avatar, clockTime, h } from "../tools.js";

export function renderAllMessages(room) {
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
export function renderMessage(room, message) {
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

export function renderOutbox(room) {
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
      h("button", { type: "button", onclick: () => { item.state = "waiting"; item.note = ""; renderOutbox(room); emit("outbox-changed", room); } }, "Try again"),
      h("button", { type: "button", onclick: () => { room.outbox = room.outbox.filter((other) => other !== item); renderOutbox(room); emit("outbox-changed", room); } }, "Discard"));
  }
  const { user } = session;
  return h("li", { className: `message mine ${item.state}` }, avatar(user.displayName, user.id),
    h("div", { className: "by" }, h("strong", {}, "You")), h("div", { className: "body", dir: "auto" }, item.content), note);
}

export function isAtBottom() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  return scrollHeight - scrollTop - clientHeight < 80;
}

export function toBottom() {
  $("scroller").scrollTop = $("scroller").scrollHeight;
  $("to-bottom").hidden = true;
}
