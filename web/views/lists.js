// The lists of rooms and conversations, and the title of the page. A room that is chosen is said over the bus.

import { emit } from "../bus.js";
import { current, roomName, rooms } from "../rooms.js";
import { session } from "../session.js";
import { $, avatar, h } from "../tools.js";

let listsScheduled = false;
export function renderLists() {
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
  button.addEventListener("click", () => emit("room-chosen", room));
  return button;
}
