// One request to the API and its answer; who is asking is the caller's to say.

export class Problem extends Error {
  constructor(status, code, message, { retryAfterMs, errors } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfterMs, errors: errors ?? [] });
  }
}

// One request as it is, with an access token if there is one. Without an answer the problem's status is 0.
export async function call(method, path, body, { bearer } = {}) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  let response;
  try {
    const signal = AbortSignal.timeout(15_000);
    response = await fetch(`/api/v1${path}`, { method, headers, body: JSON.stringify(body), credentials: "omit", signal });
  } catch {
    throw new Problem(0, "unreachable", "The server cannot be reached.");
  }
  const json = await response.json().catch(() => null);
  if (response.ok) return json;
  const message = json?.detail ?? json?.message ?? json?.title ?? `The server answered ${response.status}.`;
  throw new Problem(response.status, json?.code ?? "unknown", message, json ?? {});
}
