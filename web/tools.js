// Small tools that know nothing of chat: elements, times, random ids, and the short message at the edge of the page.

export const $ = (id) => document.getElementById(id);

// An element with properties and children; strings become text, never markup.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in element) element[name] = value;
    else if (value != null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A random id, also where crypto.randomUUID is missing (plain http on another host than localhost).
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function clockTime(iso) {
  const time = new Date(iso);
  const today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString([], today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

export function avatar(name, id) {
  const initials = Array.from(name.trim()).slice(0, 2).join("").toUpperCase();
  const hue = Array.from(id).reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 8, 0);
  return h("span", { className: `avatar hue-${hue}`, "aria-hidden": "true" }, initials || "?");
}

let toastTimer;
export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 5000);
}
