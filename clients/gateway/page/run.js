// One answer: picture, steps as they come, result.
import { post } from "./ask.js";
import { COLOURS, box, draw } from "./marks.js";
import { curl, python } from "./snippets.js";
import { share } from "./share.js";

export class Run {
  constructor(section, body, key) {
    this.section = section;
    this.body = body;
    this.key = key;
    this.steps = 0;
    section.replaceChildren(document.getElementById("run").content.cloneNode(true));
    section.hidden = false;
    this.part(".answer").textContent = "…";
    this.pictures = body.images.map((image) => this.picture(image));
    for (const button of section.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.do(button.dataset.do));
      // Only what may be learned from takes feedback.
      if (["right", "wrong"].includes(button.dataset.do)) button.hidden = body.read_only !== false;
    }
  }

  part(name) {
    return this.section.querySelector(name);
  }

  picture(image) {
    const holder = document.createElement("div");
    holder.className = "picture";
    const shown = document.createElement("img");
    shown.alt = "The picture that was asked about";
    shown.src = image;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("aria-hidden", "true");
    const ready = shown.decode().then(() => {
      svg.setAttribute("viewBox", `0 0 ${shown.naturalWidth} ${shown.naturalHeight}`);
      return [shown.naturalWidth, shown.naturalHeight];
    }, () => [1, 1]);
    holder.append(shown, svg);
    this.part(".pictures").append(holder);
    return { holder, shown, svg, ready };
  }

  take(event) {
    const writing = this.part(".writing");
    if (event.event === "token") writing.textContent += event.text;
    else if (event.event === "tool_call") writing.textContent = "";
    else if (event.event === "observation") {
      writing.textContent = "";
      this.step(event);
    } else if (event.event === "answer") this.finish(event.result);
  }

  step(event) {
    this.steps += 1;
    const observed = event.observation ?? { operation: "", result: {}, error: event.text };
    const action = {
      operation: observed.operation,
      arguments: event.operation?.arguments ?? {},
      result: observed.result ?? {},
      error: observed.error,
      elapsed_ms: observed.elapsed_ms ?? 0,
    };
    const index = event.operation?.image_index ?? action.arguments.image_index ?? 0;
    this.show(action, this.steps, this.pictures[index] ?? this.pictures[0]);
  }

  async show(action, number, picture) {
    const item = document.createElement("li");
    const name = document.createElement("button");
    name.type = "button";
    name.className = "name";
    name.style.setProperty("--colour", COLOURS[action.operation] ?? "transparent");
    name.textContent = action.operation || "call";
    const said = document.createElement("code");
    said.textContent = ` ${JSON.stringify(action.arguments)} `;
    const found = document.createElement("span");
    found.className = action.error ? "failed" : "found";
    found.textContent = action.error ?? brief(action.result);
    item.append(name, said, found, ` ${action.elapsed_ms.toFixed(1)} ms`);
    this.part(".steps").append(item);
    const size = await picture.ready;
    picture.svg.append(draw(action, number, size));
    const region = box(action, size);
    if (region && !action.error) item.append(crop(picture.shown, region));
    const only = (one) => {
      picture.holder.classList.toggle("one", one);
      picture.svg.querySelector(`[data-step="${number}"]`).classList.toggle("shown", one);
    };
    for (const kind of ["mouseenter", "focusin"]) item.addEventListener(kind, () => only(true));
    for (const kind of ["mouseleave", "focusout"]) item.addEventListener(kind, () => only(false));
  }

  async finish(result) {
    this.result = result;
    this.part(".writing").textContent = "";
    this.part(".answer").textContent = result.answer || "(no answer)";
    const cached = result.from_cache ? ", from a cache" : "";
    this.part(".confidence").textContent = `confidence ${result.confidence.toFixed(3)}${cached}`;
    if (!this.steps) {
      // What a cache had comes without its steps: they are in the result.
      for (const action of result.trajectory) {
        if (action.type === "VISUAL_OPERATION") {
          this.steps += 1;
          const index = action.arguments.image_index ?? 0;
          await this.show(action, this.steps, this.pictures[index] ?? this.pictures[0]);
        }
      }
    }
    this.part(".verdict").textContent = verdict(result.provenance);
    neighbours(this.part(".neighbours"), result.provenance.neighbours ?? []);
    this.part(".reward").textContent = reward(result.reward);
    waterfall(this.part(".waterfall"), result.timings_ms);
    this.part(".result").hidden = false;
  }

  fail(text) {
    const answer = this.part(".answer");
    answer.textContent = text;
    answer.classList.add("failed");
    this.part(".writing").textContent = "";
  }

  async do(what) {
    const say = (text) => {
      this.part(".said").textContent = text;
    };
    if (what === "share") {
      share(this.section, this.body.question);
      say("Saved.");
    } else if (what === "right" || what === "wrong") {
      const said = { request_id: this.result.request_id, correct: what === "right" };
      await post("/feedback", said, this.key()).then(() => say("Noted."), (error) => say(error.message));
    } else {
      const text = what === "curl" ? curl(this.body, this.key()) : python(this.body, this.key());
      await navigator.clipboard.writeText(text).then(() => say("Copied."), () => say("The browser does not let it be copied."));
    }
  }
}

function brief(result) {
  const rest = Object.fromEntries(Object.entries(result).filter(([name]) => name !== "mask"));
  const text = JSON.stringify(rest);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function crop(shown, [x1, y1, x2, y2]) {
  const canvas = document.createElement("canvas");
  const [width, height] = [Math.max(1, x2 - x1), Math.max(1, y2 - y1)];
  const scale = Math.min(1, 320 / Math.max(width, height));
  [canvas.width, canvas.height] = [Math.max(1, width * scale), Math.max(1, height * scale)];
  canvas.getContext("2d").drawImage(shown, x1, y1, width, height, 0, 0, canvas.width, canvas.height);
  const picture = document.createElement("img");
  picture.className = "crop";
  picture.alt = "What this step looked at";
  picture.src = canvas.toDataURL();
  return picture;
}

function verdict(provenance) {
  const told = [`The agent said “${provenance.agent_answer}” (${provenance.agent_confidence.toFixed(3)}).`];
  if (provenance.reason) told.push(`Votes: ${provenance.reason}.`);
  if (provenance.learned) told.push("It was learned.");
  return [...told, ...(provenance.reasons ?? [])].join(" ");
}

function neighbours(table, found) {
  if (!found.length) {
    table.replaceChildren();
    return;
  }
  const row = (cells, kind) => {
    const made = document.createElement("tr");
    made.append(
      ...cells.map((text) => {
        const cell = document.createElement(kind);
        cell.textContent = text;
        return cell;
      }),
    );
    return made;
  };
  const rows = found.map((one) => row([one.answer, one.similarity.toFixed(4), one.confidence.toFixed(3), one.confirmed ? "confirmed" : ""], "td"));
  table.replaceChildren(row(["Neighbour's answer", "similarity", "confidence", "feedback"], "th"), ...rows);
}

function reward(found) {
  if (!found) return "none";
  const parts = ["task", "curiosity", "coherence", "penalty"].filter((name) => Number.isFinite(found[name]));
  return `${found.total.toFixed(4)} = ${parts.map((name) => `${name} ${found[name].toPrecision(3)}`).join(", ")}`;
}

// Stages one behind the other, except that recall and reason run side by side; their parts are below them.
function waterfall(box, timings) {
  const at = { prepare: 0, recall: timings.prepare ?? 0, reason: timings.prepare ?? 0 };
  at.finish = (timings.prepare ?? 0) + Math.max(timings.recall ?? 0, timings.reason ?? 0);
  const total = timings.total ?? Math.max(at.finish + (timings.finish ?? 0), 1);
  const rows = [];
  for (const stage of ["prepare", "recall", "reason", "finish"]) {
    if (!(stage in timings)) continue;
    rows.push([stage, at[stage], timings[stage], false]);
    for (const [name, took] of Object.entries(timings)) {
      if (name.startsWith(`${stage}.`)) rows.push([name.slice(stage.length + 1), at[stage], took, true]);
    }
  }
  box.replaceChildren(
    ...rows.flatMap(([name, from, took, part]) => {
      const words = document.createElement("span");
      words.textContent = name;
      words.className = part ? "part" : "";
      const lane = document.createElement("span");
      const bar = document.createElement("span");
      bar.className = "bar";
      bar.style.display = "block";
      const start = Math.min(99, (100 * from) / total);
      bar.style.marginLeft = `${start}%`;
      bar.style.width = `${Math.min(100 - start, (100 * took) / total)}%`;
      lane.append(bar);
      const time = document.createElement("span");
      time.textContent = `${took.toFixed(1)} ms`;
      return [words, lane, time];
    }),
  );
  box.setAttribute("aria-label", rows.map(([name, , took]) => `${name} ${took.toFixed(1)} ms`).join(", "));
}
