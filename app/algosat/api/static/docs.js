"use strict";
// The token is kept in this page only and is lost when the page closes.
let token = null;

const element = (name, text, attributes = {}) => {
  const made = Object.assign(document.createElement(name), attributes);
  if (text !== undefined) made.textContent = text;
  return made;
};

const call = async (method, path, headers, body) => {
  const sent = { ...headers };
  if (token) sent.Authorization = `Bearer ${token}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers: sent, body, credentials: "omit" });
  const text = await answer.text();
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown unchanged */ }
  return { answer, text, shown };
};

const operationView = (path, method, operation) => {
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
    label.append(element("small", parameter.description));
    form.append(label);
    return { parameter, input };
  });
  let body = null;
  if (operation.requestBody) {
    const { example } = operation.requestBody.content["application/json"];
    body = element("textarea", JSON.stringify(example, null, 2), { spellcheck: false });
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

// Shows the first paragraph; the lists of codes below it are folded.
const intro = (text) => {
  const [first, ...rest] = text.replaceAll("`", "").split("\n\n");
  const more = element("details");
  more.append(element("summary", "Codes of denied and rejected orders"),
    element("p", rest.join("\n\n"), { className: "intro" }));
  return [element("p", first), more];
};

const show = (spec) => {
  const main = document.getElementById("routes");
  main.replaceChildren(...intro(spec.info.description));
  for (const { name, description } of spec.tags) {
    main.append(element("h2", name), element("p", description));
    for (const [path, operations] of Object.entries(spec.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        if (operation.tags.includes(name)) main.append(operationView(path, method, operation));
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
  const outcome = JSON.parse(text);
  token = answer.ok ? outcome.access_token : null;
  document.getElementById("password").value = "";
  document.getElementById("who").textContent = answer.ok
    ? `${outcome.user_info.username} (${outcome.user_info.role})` : outcome.detail;
});

fetch("/openapi.json").then((answer) => answer.json()).then(show);
