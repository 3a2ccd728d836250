// Words from a lower part of the page to a higher one, which it does not import: a socket says that an entry has come,
// a button says that a room was chosen. The start of the page (app.js) decides who hears which word.

const handlers = new Map();

// One handler for each word; it runs at once, in the call that emits the word.
export function on(word, handler) {
  handlers.set(word, handler);
}

export function emit(word, ...details) {
  handlers.get(word)(...details);
}
