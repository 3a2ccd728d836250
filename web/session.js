// Who is signed in in this tab: the tokens, where they are kept, and their renewal. Tabs of one sign-in agree on who
// spends the refresh token, and tell each other what they got for it.

import { emit } from "./bus.js";
import { Problem, call } from "./rest.js";
import { pause } from "./tools.js";

// {user, accessToken, refreshToken, expiresAt, line}. `line` names the sign-in that the tokens descend from: tabs that
// share it share one session, and must not spend the same refresh token twice.
export let session = null;
export const STORED = "rookery-session";
const tabs = "BroadcastChannel" in window ? new BroadcastChannel(STORED) : null;

export function loadSession() {
  const own = sessionStorage.getItem(STORED);
  const kept = sessionStorage.getItem("rookery-other") ? null : localStorage.getItem(STORED);
  session = JSON.parse(own ?? kept ?? "null");
  // From now on this tab is this person, whoever is kept later.
  if (session) sessionStorage.setItem(STORED, JSON.stringify(session));
}

export function saveSession(tokens, { line, keep }) {
  session = {
    user: tokens.user,
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    expiresAt: Date.now() + tokens.expiresIn * 1000,
    lifetime: tokens.expiresIn * 1000,
    line,
  };
  sessionStorage.setItem(STORED, JSON.stringify(session));
  if (keep || isKept()) localStorage.setItem(STORED, JSON.stringify(session));
  scheduleRefresh();
}

// Whether the session of this tab is the one that was kept on this device.
function isKept() {
  return JSON.parse(localStorage.getItem(STORED) ?? "null")?.line === session?.line;
}

export function forgetSession() {
  if (isKept()) localStorage.removeItem(STORED);
  sessionStorage.removeItem(STORED);
  session = null;
  clearTimeout(refreshTimer);
}

// Takes over tokens that another tab of the same sign-in got.
function adopt(other) {
  if (!session || other?.line !== session.line || other.expiresAt <= session.expiresAt) return false;
  session = other;
  sessionStorage.setItem(STORED, JSON.stringify(session));
  scheduleRefresh();
  return true;
}
tabs?.addEventListener("message", ({ data }) => { if (adopt(data)) emit("tokens-renewed"); });

let refreshing = null;
export function refresh() {
  const spent = session?.refreshToken;
  const now = () => refreshNow(spent);
  refreshing ??= (navigator.locks ? navigator.locks.request("rookery-refresh", now) : now())
    .finally(() => { refreshing = null; });
  return refreshing;
}

// Whether another tab has refreshed meanwhile. Its word and its storage take a moment to get here.
async function refreshedElsewhere(spent) {
  await pause(100);
  adopt(JSON.parse(localStorage.getItem(STORED) ?? "null"));
  return Boolean(session) && session.refreshToken !== spent;
}

async function refreshNow(spent) {
  if (!(await refreshedElsewhere(spent))) {
    if (!session) throw new Problem(401, "unauthorized", "Signed out");
    const { line, refreshToken } = session;
    let tokens;
    try {
      tokens = await call("POST", "/auth/refresh", { refreshToken });
    } catch (problem) {
      if (problem.status === 401 && await refreshedElsewhere(spent)) return emit("tokens-renewed");
      throw problem;
    }
    // Signed out, or in as someone else, while the answer was under way.
    if (session?.line !== line) throw new Problem(401, "unauthorized", "Signed out");
    saveSession(tokens, { line });
    tabs?.postMessage(session);
  }
  emit("tokens-renewed");
}

let refreshTimer;
export function scheduleRefresh() {
  clearTimeout(refreshTimer);
  const ahead = Math.min(90_000, session.lifetime / 2);
  refreshTimer = setTimeout(renewTokens, Math.max(1_000, session.expiresAt - ahead - Date.now()));
}

// Refreshes without anyone waiting for it; tries again while the server cannot be reached.
export function renewTokens() {
  refresh().catch((problem) => {
    if (problem.status === 401) return emit("signed-out", "Your session has ended. Sign in again.");
    clearTimeout(refreshTimer);
    refreshTimer = setTimeout(renewTokens, 5_000);
  });
}
