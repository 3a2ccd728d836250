// The side bar without its lists: the state of the connection, the search for people, the dialogs behind its buttons.

import { api } from "../api.js";
import { openConversation } from "../opening.js";
import { current } from "../rooms.js";
import { session } from "../session.js";
import { socket } from "../socket.js";
import { $, avatar, h } from "../tools.js";
import { renderOutbox } from "./messages.js";

export function showConnection(text, action) {
  $("connection").replaceChildren(text);
  if (action) $("connection").append(h("button", { type: "button", onclick: () => socket.connect() }, action));
  if (current) renderOutbox(current);
}

let found = 0;
export async function findPeople(text) {
  const mine = ++found;
  const page = text ? await api("GET", `/users/search?q=${encodeURIComponent(text)}&limit=8`) : { items: [] };
  if (mine !== found) return;
  $("people").replaceChildren(...page.items.filter((user) => user.id !== session.user.id).map((user) => {
    const open = () => {
      $("find-person-input").value = "";
      $("people").replaceChildren();
      openConversation(user.id);
    };
    return h("li", {}, h("button", { type: "button", className: "entry", onclick: open }, avatar(user.displayName, user.id),
      h("span", { className: "who" }, h("span", { className: "name" }, user.displayName), h("small", {}, `@${user.username}`))));
  }));
}

export function dialog(id, submit) {
  const box = $(`${id}-dialog`);
  const form = $(`${id}-form`);
  const problem = form.querySelector(".error");
  form.querySelector("[data-close]").addEventListener("click", () => box.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      await submit(new FormData(form));
      form.reset();
      box.close();
    } catch (failed) {
      problem.textContent = failed.message;
    }
  });
  return () => {
    problem.textContent = "";
    box.showModal();
  };
}
