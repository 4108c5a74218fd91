"use strict";
// The token lives in this page only, and goes with it.
let token = null;

const element = (name, text, attributes = {}) => {
  const made = Object.assign(document.createElement(name), attributes);
  if (text !== undefined) made.textContent = text;
  return made;
};

const resolve = (spec, schema) => {
  while (schema && schema.$ref) schema = spec.components.schemas[schema.$ref.split("/").pop()];
  return schema || {};
};

const example = (spec, schema) => {
  schema = resolve(spec, schema);
  if (schema.examples) return schema.examples[0];
  if (schema.default !== undefined && schema.default !== null) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(spec, schema.anyOf[0]);
  if (schema.type === "object") {
    const required = schema.required || [];
    const names = Object.keys(schema.properties || {}).filter((name) => required.includes(name));
    return Object.fromEntries(names.map((name) => [name, example(spec, schema.properties[name])]));
  }
  if (schema.type === "array") return [];
  if (schema.type === "boolean") return false;
  if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? 1;
  return "";
};

const call = async (method, path, headers, body) => {
  const sent = { ...headers };
  if (token) sent.Authorization = `Bearer ${token}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers: sent, body, credentials: "omit" });
  const text = await answer.text();
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it came */ }
  return { answer, text, shown };
};

const operationView = (spec, path, method, operation) => {
  const view = element("details");
  const summary = element("summary");
  summary.append(element("b", method.toUpperCase()), element("code", path), " ", operation.summary || "",
    element("em", operation["x-access"]));
  const form = element("form");
  const fields = operation.parameters.map((parameter) => {
    const label = element("label", `${parameter.name}${parameter.required ? " *" : ""}`);
    const input = element("input", undefined, { required: parameter.required });
    if (parameter.name === "Idempotency-Key") input.value = crypto.randomUUID ? crypto.randomUUID() : Date.now();
    label.append(input);
    const help = parameter.description || (parameter.schema || {}).description;
    if (help) label.append(element("small", help));
    form.append(label);
    return { parameter, input };
  });
  let body = null;
  if (operation.requestBody) {
    const schema = operation.requestBody.content["application/json"].schema;
    body = element("textarea", JSON.stringify(example(spec, schema), null, 2), { spellcheck: false });
    form.append(body);
  }
  const result = element("pre", undefined, { hidden: true });
  form.append(element("button", "Send"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let target = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value && parameter.in === "query") query.set(parameter.name, input.value);
      else if (input.value) headers[parameter.name] = input.value;
    }
    if ([...query].length) target += `?${query}`;
    const { answer, shown } = await call(method.toUpperCase(), target, headers, body ? body.value : undefined);
    result.hidden = false;
    result.textContent = `${answer.status} ${answer.headers.get("Content-Type")}\n` +
      `X-Request-ID: ${answer.headers.get("X-Request-ID")}\n\n${shown}`;
  });
  const inner = element("div");
  if (operation.description) inner.append(element("p", operation.description));
  inner.append(form, result);
  view.append(summary, inner);
  return view;
};

// The first paragraph stands open; the lists after it are there for whoever looks for them.
const intro = (text) => {
  const [first, ...rest] = text.replaceAll("`", "").split("\n\n");
  const more = element("details");
  more.append(element("summary", "Codes of denied orders"),
    element("p", rest.join("\n\n"), { className: "intro" }));
  return [element("p", first), more];
};

const show = (spec) => {
  const main = document.getElementById("routes");
  main.replaceChildren(...intro(spec.info.description));
  for (const { name } of spec.tags) {
    main.append(element("h2", name));
    for (const [path, operations] of Object.entries(spec.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        if (operation.tags.includes(name)) main.append(operationView(spec, path, method, operation));
      }
    }
  }
};

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const credentials = {
    username: document.getElementById("username").value,
    password: document.getElementById("password").value,
  };
  const { answer, text } = await call("POST", "/auth/login", {}, JSON.stringify(credentials));
  const said = JSON.parse(text);
  token = answer.ok ? said.access_token : null;
  document.getElementById("password").value = "";
  document.getElementById("who").textContent = answer.ok
    ? `${said.user_info.username} (${said.user_info.role})` : said.detail;
});

fetch("/openapi.json").then((answer) => answer.json()).then(show);
