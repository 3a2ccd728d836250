// The chat page: its start. REST for what is asked once, one socket for what happens; everything shown goes through
// textContent.
//
// From the bottom up, each part importing only what stands before it:
// tools, bus · rest, session, api · socket · rooms (what is known) · views/lists, views/messages · outbox ·
// views/composer, views/room · presence, directory · log · opening · views/sidebar, views/sign-in · this file.
// What a lower part has to say to a higher one goes over the bus; the first lines below are who hears it.
// How a client stays complete is described in docs/protocol.md, and done in log.js.

import { api } from "./api.js";
import { on } from "./bus.js";
import { forgetRoom, loadLists, rememberRoom } from "./directory.js";
import { loadOlder, receive } from "./log.js";
import { connected, joinRoom, openConversation, openFromAddress, openRoom, roomIdIn } from "./opening.js";
import { flush } from "./outbox.js";
import { markRead, onRead, onStatus, onTyping, refreshPeople } from "./presence.js";
import { Problem } from "./rest.js";
import { current, rooms } from "./rooms.js";
import { STORED, loadSession, renewTokens, session } from "./session.js";
import { socket } from "./socket.js";
import { $, toast } from "./tools.js";
import { fitDraft, submitDraft, tellTyping } from "./views/composer.js";
import { isAtBottom, toBottom } from "./views/messages.js";
import { showRoom } from "./views/room.js";
import { dialog, findPeople, showConnection } from "./views/sidebar.js";
import { enter, showSignIn, signIn, signedOut, switchSignIn } from "./views/sign-in.js";

on("tokens-renewed", () => socket.renew());
on("signed-out", signedOut);
on("connection", showConnection);
on("connected", connected);
on("entry", receive);
on("event", onEvent);
on("room-chosen", (room) => {
  if (room.mine) openRoom(room);
  else joinRoom(room.id).catch((problem) => toast(problem.message));
});
on("person-chosen", openConversation);
on("outbox-changed", flush);

// What happens that is no entry of a room's log: entries of the user's stream, and what is only of the moment.
function onEvent(type, data) {
  switch (type) {
    case "room_added": rememberRoom(data, { mine: true }); break;
    case "room_removed":
    case "room_deleted": forgetRoom(data.roomId); break;
    case "user_typing": onTyping(data); break;
    case "user_status": onStatus(data); break;
    case "message_read": onRead(data); break;
    case "token_expiring": renewTokens(); break;
    case "reconnect": setTimeout(() => socket.connect(), data.retryAfterMs ?? Math.random() * 5_000); break;
    case "session_ended": break; // The connection closes with 4003 when it is this one.
    case "error": toast(data.message); break;
  }
}

$("sign-in-form").addEventListener("submit", signIn);
$("sign-in-switch").addEventListener("click", switchSignIn);
$("sign-out").addEventListener("click", async () => {
  await api("POST", "/auth/logout", {}).catch(() => {});
  if (session) signedOut("");
});
$("other-account").addEventListener("click", () => {
  // The session stays alive for other tabs; this one forgets it.
  sessionStorage.setItem("rookery-other", "1");
  const kept = localStorage.getItem(STORED);
  signedOut("");
  if (kept) localStorage.setItem(STORED, kept);
});

const openRoomDialog = dialog("room", async (form) => {
  const description = form.get("description").trim() || undefined;
  const visibility = form.get("private") ? "private" : "public";
  const summary = await api("POST", "/rooms", { name: form.get("name").trim(), description, visibility });
  openRoom(rememberRoom(summary, { mine: true }));
});
const openJoinDialog = dialog("join", async (form) => {
  const id = roomIdIn(form.get("room"));
  if (!id) throw new Problem(0, "invalid", "This is neither a room's link nor its id.");
  await joinRoom(id);
});
$("new-room").addEventListener("click", openRoomDialog);
$("join-by-id").addEventListener("click", openJoinDialog);

$("find-person").addEventListener("submit", (event) => event.preventDefault());
let findTimer;
$("find-person-input").addEventListener("input", ({ target }) => {
  clearTimeout(findTimer);
  findTimer = setTimeout(() => findPeople(target.value.trim()).catch((problem) => toast(problem.message)), 250);
});

$("composer").addEventListener("submit", (event) => { event.preventDefault(); submitDraft(); });
$("draft").addEventListener("input", () => { fitDraft(); tellTyping(); });
$("draft").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submitDraft();
});

$("back").addEventListener("click", () => showRoom(null));
$("older").addEventListener("click", () => loadOlder(current));
$("to-bottom").addEventListener("click", toBottom);
$("scroller").addEventListener("scroll", () => { if (isAtBottom()) $("to-bottom").hidden = true; });
$("show-members").addEventListener("click", ({ currentTarget }) => {
  $("members").hidden = !$("members").hidden;
  currentTarget.setAttribute("aria-expanded", String(!$("members").hidden));
});
$("copy-link").addEventListener("click", async () => {
  const link = `${location.origin}/#/rooms/${current.id}`;
  await navigator.clipboard?.writeText(link).then(() => toast("The link is in your clipboard."), () => toast(link)) ?? toast(link);
});
$("leave-room").addEventListener("click", async () => {
  const room = current;
  try {
    await api("POST", `/rooms/${room.id}/leave`, {});
    if (current === room) showRoom(null);
    rooms.delete(room.id);
    await loadLists();
  } catch (problem) {
    toast(problem.message);
  }
});

addEventListener("hashchange", () => { if (session) openFromAddress(); });
addEventListener("online", () => socket.nudge());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || !session) return;
  socket.nudge();
  if (current) markRead(current);
});
// Who is there in the open room; and a way to notice a connection that died without a word.
setInterval(() => { if (socket.live && current) refreshPeople(current).catch(() => {}); }, 30_000);

loadSession();
if (session) enter();
else showSignIn();
