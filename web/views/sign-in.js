// Coming in and going out: the form for signing in or making an account, and what both ends do to the page.

import { api } from "../api.js";
import { call } from "../rest.js";
import { rooms, statuses } from "../rooms.js";
import { forgetSession, saveSession, scheduleRefresh, session } from "../session.js";
import { socket } from "../socket.js";
import { $, avatar, randomId } from "../tools.js";
import { renderLists } from "./lists.js";
import { showRoom } from "./room.js";

let makingAccount = false;
export function showSignIn(message = "") {
  document.title = "Rookery";
  $("app").hidden = true;
  $("sign-in").hidden = false;
  $("new-account").hidden = !makingAccount;
  $("old-account").hidden = makingAccount;
  $("sign-in-title").textContent = makingAccount ? "Make an account" : "Sign in";
  $("sign-in-submit").textContent = makingAccount ? "Make it" : "Sign in";
  $("sign-in-switch").textContent = makingAccount ? "Have an account? Sign in" : "New here? Make an account";
  $("sign-in-form").password.autocomplete = makingAccount ? "new-password" : "current-password";
  for (const error of $("sign-in-form").querySelectorAll(".error")) error.textContent = "";
  for (const input of $("sign-in-form").elements) input.removeAttribute("aria-invalid");
  $("sign-in-problem").textContent = message;
  $("sign-in-form")[makingAccount ? "username" : "identifier"].focus();
}

// Between signing in and making an account.
export function switchSignIn() {
  makingAccount = !makingAccount;
  showSignIn();
}

export async function signIn(event) {
  event.preventDefault();
  showSignIn();
  const form = $("sign-in-form");
  const text = (name) => form[name].value.trim() || undefined;
  const password = form.password.value;
  const body = makingAccount
    ? { username: text("username"), email: text("email"), displayName: text("displayName"), password }
    : { identifier: text("identifier"), password };
  $("sign-in-submit").disabled = true;
  try {
    const tokens = await call("POST", makingAccount ? "/auth/register" : "/auth/login", body);
    const keep = form.keep.checked;
    if (keep) sessionStorage.removeItem("rookery-other");
    else sessionStorage.setItem("rookery-other", "1");
    saveSession(tokens, { line: randomId(), keep });
    form.reset();
    enter();
  } catch (problem) {
    for (const { field, message } of problem.errors) {
      const place = $(`${field}-error`);
      if (place && form[field]) {
        place.textContent = message;
        form[field].setAttribute("aria-invalid", "true");
      }
    }
    const shown = problem.errors.length && problem.errors.every(({ field }) => $(`${field}-error`));
    const wait = problem.retryAfterMs ? ` Try again in ${Math.ceil(problem.retryAfterMs / 60_000)} min.` : "";
    $("sign-in-problem").textContent = shown ? "" : problem.message + wait;
  } finally {
    $("sign-in-submit").disabled = false;
  }
}

// From here on someone is signed in.
export function enter() {
  const { user } = session;
  $("sign-in").hidden = true;
  $("app").hidden = false;
  $("my-avatar").replaceWith(Object.assign(avatar(user.displayName, user.id), { id: "my-avatar" }));
  $("my-name").textContent = user.displayName;
  $("my-username").textContent = `@${user.username}`;
  scheduleRefresh();
  renderLists();
  socket.connect();
  // Search is there as soon as the server has it.
  api("GET", `/users/search?q=${encodeURIComponent(user.username)}&limit=1`)
    .then(() => { $("find-person").hidden = false; }, () => { $("find-person").hidden = true; });
}

export function signedOut(message) {
  forgetSession();
  clearTimeout(socket.timer);
  socket.drop();
  socket.epoch = null;
  showRoom(null);
  rooms.clear();
  statuses.clear();
  makingAccount = false;
  showSignIn(message);
}
