// The open room around its messages: head, people, who is typing, and the change from one room to another.

import { emit } from "../bus.js";
import { current, roomName, setCurrent, statuses } from "../rooms.js";
import { session } from "../session.js";
import { $, h } from "../tools.js";
import { fitDraft, stopTyping } from "./composer.js";
import { renderLists } from "./lists.js";
import { renderAllMessages } from "./messages.js";

export function showRoom(room) {
  if (current && current !== room) {
    current.draft = $("draft").value;
    stopTyping();
  }
  setCurrent(room);
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

export function renderHead() {
  const { summary } = current;
  $("room-name").textContent = roomName(current);
  const count = summary.memberCount === 1 ? "1 person" : `${summary.memberCount} people`;
  const sort = summary.type === "room" ? `${summary.visibility} room` : "conversation";
  $("room-about").textContent = [summary.description, sort, count].filter(Boolean).join(" · ");
  $("copy-link").hidden = $("leave-room").hidden = summary.type !== "room";
}

export function renderTyping() {
  const names = current ? [...current.typing.values()].map((who) => who.username ?? "Someone") : [];
  $("typing").textContent = names.length === 0 ? ""
    : names.length > 3 ? "Several people are typing …"
    : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing …`;
}

export function renderPeople() {
  if (!current) return;
  const names = new Map((current.summary.members ?? []).map((member) => [member.userId, member.displayName]));
  const online = (user) => (statuses.get(user.userId) ?? "offline") !== "offline";
  const people = [...current.people].sort((a, b) => online(b) - online(a) || (a.username ?? "").localeCompare(b.username ?? ""));
  $("member-list").replaceChildren(...people.map((user) => {
    const status = statuses.get(user.userId) ?? "offline";
    const me = user.userId === session.user.id;
    const talk = h("button", { type: "button", onclick: () => emit("person-chosen", user.userId) }, "Talk");
    return h("li", { className: "member" },
      h("span", { className: `dot ${status}`, role: "img", "aria-label": status, title: status }),
      h("span", { className: "who" }, me ? `${user.username} (you)` : names.get(user.userId) ?? user.username ?? "Deleted user"),
      me || current.summary.type !== "room" ? null : talk);
  }));
}
