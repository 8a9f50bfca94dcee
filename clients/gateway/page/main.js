// What the page does. Each file has one thing: ask.js talks to the gateway, run.js shows an answer.
import { ask, get } from "./ask.js";
import { loadExamples } from "./examples.js";
import { Run } from "./run.js";

const id = (name) => document.getElementById(name);
const settings = { a: id("settings-a"), b: id("settings-b") };
let pictures = [];
let asking = null;

for (const [name, box] of Object.entries(settings)) {
  box.append(id("settings").content.cloneNode(true));
  box.querySelector("legend").textContent = name === "a" ? "Settings" : "Settings of the second";
}

function key() {
  return id("key").value.trim();
}

function take(files) {
  const found = [...files].filter((file) => file.type.startsWith("image/"));
  if (!found.length) {
    problem("That is no picture.");
    return;
  }
  problem("");
  pictures = found;
  id("chosen").textContent = found.map((file) => file.name || "pasted picture").join(", ");
}

function problem(text) {
  id("problem").textContent = text;
}

// Only what was said: the rest is the server's default.
function options(box) {
  const said = {};
  for (const field of box.querySelectorAll("[data-name]")) {
    const name = field.dataset.name;
    if (field.type === "checkbox") {
      if (field.checked !== field.defaultChecked) said[name] = field.checked;
    } else if (field.value !== "") {
      said[name] = field.type === "number" ? Number(field.value) : field.value;
    }
  }
  return said;
}

async function data(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return `data:${file.type};base64,${btoa(text)}`;
}

id("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!pictures.length) {
    problem("Choose a picture first.");
    id("file").focus();
    return;
  }
  problem("");
  asking = new AbortController();
  id("go").disabled = true;
  id("stop").disabled = false;
  const images = await Promise.all(pictures.map(data));
  const question = id("question").value;
  const both = id("compare").checked ? ["a", "b"] : ["a"];
  id("run-b").hidden = both.length === 1;
  const body = (name) => ({ images, question, ...options(settings[name]) });
  await Promise.all(both.map((name) => one(new Run(id(`run-${name}`), body(name), key), asking.signal)));
  id("go").disabled = false;
  id("stop").disabled = true;
});

async function one(run, signal) {
  try {
    for await (const event of ask(run.body, key(), signal)) run.take(event);
  } catch (error) {
    if (error.status === 401) id("key-box").open = true;
    run.fail(error.name === "AbortError" ? "Stopped." : error.message);
  }
}

id("stop").addEventListener("click", () => asking?.abort());
id("file").addEventListener("change", () => take(id("file").files));
id("compare").addEventListener("change", () => {
  settings.b.hidden = !id("compare").checked;
});
id("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    id("ask").requestSubmit();
  }
});
addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});
const drop = id("drop");
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});

loadExamples(id("examples"), (file, question) => {
  take([file]);
  id("question").value = question;
  id("question").focus();
});

async function models() {
  let names = ["pixelis"];
  try {
    names = (await get("/v1/models", key())).data.map((model) => model.id);
  } catch (error) {
    if (error.status === 401) id("key-box").open = true;
  }
  for (const box of Object.values(settings)) {
    box.querySelector("[data-name=model]").replaceChildren(
      ...names.map((name) => new Option(name === "pixelis" ? "default" : name, name === "pixelis" ? "" : name)),
    );
  }
}

async function health() {
  const found = await fetch("/health").then((response) => response.json(), () => null);
  if (!found) id("health").textContent = "the gateway does not answer";
  else if (!found.live) id("health").textContent = "Triton does not answer";
  else if (found.degraded.length) id("health").textContent = `${found.ready ? "ready" : "not ready"}, without ${found.degraded.join(", ")}`;
  else id("health").textContent = "ready";
}

id("key").addEventListener("change", models);
models();
health();
setInterval(health, 10000);
