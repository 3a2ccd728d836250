// Shows the API's description: operations by area, their parameters, bodies and answers, and the schemas. Everything
// in it is put in as text, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

// Text with `code` in it.
function prose(text = "") {
  return text.split("`").map((part, at) => (at % 2 ? element("code", {}, part) : part));
}

const nameOf = (ref) => ref.slice(ref.lastIndexOf("/") + 1);

// Looks up what a reference inside the document stands for.
function resolve(api, value) {
  if (!value?.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((inside, key) => inside?.[key], api) ?? {};
}

// What a schema allows, in a line; names of other schemas lead to them.
function type(schema) {
  if (!schema || schema === true) return ["anything"];
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return [element("a", { href: `#schema-${name}` }, name)];
  }
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return join(several.map(type), " or ");
  if (schema.allOf) return join(schema.allOf.map(type), " and ");
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" | ")];
  const types = [schema.type ?? "anything"].flat();
  const parts = types.map((one) => {
    if (one === "array") return ["[", ...type(schema.items), "]"];
    if (one === "object" && schema.additionalProperties) return ["{…: ", ...type(schema.additionalProperties), "}"];
    if (one === "object" && schema.properties) return [`{${Object.keys(schema.properties).join(", ")}}`];
    return [schema.format && one !== "null" ? `${one} (${schema.format})` : one];
  });
  return [...join(parts, " or "), ...rules(schema)];
}

function join(lists, between) {
  return lists.flatMap((list, at) => (at ? [between, ...list] : list));
}

function rules(schema) {
  const found = [];
  const range = (from, to, unit) => {
    if (from !== undefined || to !== undefined) found.push(`${from ?? 0} to ${to ?? "any number of"}${unit}`);
  };
  range(schema.minLength, schema.maxLength, " characters");
  range(schema.minItems, schema.maxItems, " items");
  if (schema.maximum !== undefined || schema.minimum > 0) range(schema.minimum, schema.maximum, "");
  if (schema.default !== undefined) found.push(`${JSON.stringify(schema.default)} if absent`);
  const rest = found.length ? [`, ${found.join(", ")}`] : [];
  return schema.pattern ? [...rest, ", like ", element("code", {}, schema.pattern)] : rest;
}

function table(rows) {
  const body = rows.map(([name, ...cells]) =>
    element("tr", {}, element("th", { scope: "row" }, element("code", {}, name)), ...cells.map((cell) => element("td", {}, ...cell))));
  return element("table", {}, element("tbody", {}, ...body));
}

// The properties of a schema; what is put together of several is shown one behind the other.
function fields(api, schema) {
  if (schema?.allOf) return schema.allOf.flatMap((part) => (part.$ref ? [element("p", {}, "All of ", ...type(part), ", and:")] : fields(api, part)));
  if (!schema?.properties) return [element("p", {}, ...type(schema))];
  const rows = Object.entries(schema.properties).map(([name, property]) => [
    name,
    [...type(property)],
    [schema.required?.includes(name) ? "" : "optional"],
    prose(property.description),
  ]);
  return [table(rows)];
}

function body(api, title, content) {
  return Object.entries(content ?? {}).flatMap(([kind, { schema }]) => [element("h3", {}, `${title} (${kind})`), element("p", {}, ...type(schema))]);
}

function operation(api, path, method, it) {
  const open = it.security?.some((scheme) => Object.keys(scheme).length === 0);
  const inside = element("div", { class: "inside" });
  if (it.description) inside.append(element("p", {}, ...prose(it.description)));
  const parameters = (it.parameters ?? []).map((given) => resolve(api, given));
  if (parameters.length) {
    const rows = parameters.map((one) => [one.name, [one.in], type(one.schema), [one.required ? "" : "optional"], prose(one.description)]);
    inside.append(element("h3", {}, "Parameters"), table(rows));
  }
  if (it.requestBody) inside.append(...body(api, "Body", resolve(api, it.requestBody).content));
  const answers = Object.entries(it.responses ?? {}).map(([status, given]) => {
    const answer = resolve(api, given);
    const shapes = Object.values(answer.content ?? {}).map(({ schema }) => (Number(status) < 400 ? type(schema) : []));
    return [status, prose(answer.description), join(shapes, " or ")];
  });
  inside.append(element("h3", {}, "Answers"), table(answers));
  const summary = element("summary", {},
    element("code", { class: "method" }, method.toUpperCase()),
    element("code", {}, path),
    element("span", { class: "quiet" }, ...prose(it.summary)),
    open ? element("span", { class: "public" }, "public") : null);
  const shown = element("details", { id: it.operationId ?? `${method} ${path}` }, summary, inside);
  shown.dataset.words = [method, path, it.summary, it.description, it.operationId].join(" ").toLowerCase();
  return shown;
}

function show(api) {
  document.getElementById("about").append(...prose(api.info.description));
  document.getElementById("version").textContent = `${api.info.title} ${api.info.version}, OpenAPI ${api.openapi}`;
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => [item[method].tags?.[0] ?? "other", operation(api, path, method, item[method])]));
  for (const { name, description } of api.tags ?? []) {
    const mine = all.filter(([tag]) => tag === name).map(([, shown]) => shown);
    if (!mine.length) continue;
    const title = element("h2", { id: `area-${name}` }, name);
    document.getElementById("areas").append(element("a", { href: `#area-${name}` }, name));
    document.getElementById("operations").append(element("section", {}, title, element("p", { class: "quiet" }, ...prose(description)), ...mine));
  }
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) {
    const inside = element("div", { class: "inside" }, element("p", {}, ...prose(schema.description)), ...fields(api, schema));
    document.getElementById("schemas").append(element("details", { id: `schema-${name}` }, element("summary", {}, element("code", {}, name)), inside));
  }
}

function find(wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  for (const shown of document.querySelectorAll("#operations details")) {
    shown.hidden = !words.every((word) => shown.dataset.words.includes(word));
  }
  for (const section of document.querySelectorAll("#operations section")) {
    section.hidden = !section.querySelector("details:not([hidden])");
  }
}

// A link to an operation or a schema opens it.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target instanceof HTMLDetailsElement) target.open = true;
  target.scrollIntoView();
}

try {
  const answer = await fetch("/api/v1/openapi.json", { credentials: "omit", signal: AbortSignal.timeout(15_000) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  show(await answer.json());
  document.getElementById("find").addEventListener("input", (event) => find(event.target.value));
  addEventListener("hashchange", reveal);
  reveal();
} catch (error) {
  document.getElementById("operations").append(element("p", { class: "error" }, `The description cannot be shown: ${error.message}.`));
}
