// Requests of someone signed in, and lists that come in pages.

import { emit } from "./bus.js";
import { call } from "./rest.js";
import { refresh, session } from "./session.js";

// One request of someone signed in: an access token that has ended is refreshed once.
export async function api(method, path, body) {
  try {
    return await call(method, path, body, { bearer: session?.accessToken });
  } catch (problem) {
    if (problem.status !== 401 || !session) throw problem;
    await refresh().catch((failed) => {
      if (failed.status === 401) emit("signed-out", "Your session has ended. Sign in again.");
      throw failed;
    });
    return call(method, path, body, { bearer: session?.accessToken });
  }
}

// The pages of a list up to a bound, and whether that was all of it.
export async function all(path) {
  const items = [];
  let after = null;
  do {
    const page = await api("GET", `${path}?limit=200${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    items.push(...page.items);
    after = page.next;
  } while (after && items.length < 1_000);
  return { items, complete: !after };
}
