// The gateway's routes.

export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
  }
}

const headers = (key) => ({ "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) });

async function refused(response) {
  const body = await response.json().catch(() => null);
  return new Refused(response.status, body?.error ?? { message: `The gateway answered with ${response.status}.` });
}

export async function get(path, key) {
  const response = await fetch(path, { headers: headers(key) });
  if (!response.ok) throw await refused(response);
  return response.json();
}

export async function post(path, body, key, signal) {
  const response = await fetch(path, { method: "POST", headers: headers(key), body: JSON.stringify(body), signal });
  if (!response.ok) throw await refused(response);
  return response;
}

// The events of a question, one for each step; an error among them is thrown.
export async function* ask(body, key, signal) {
  const response = await post("/infer", { ...body, stream: true }, key, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (left + value).split("\n\n");
    left = blocks.pop();
    for (const block of blocks) {
      const line = block.split("\n").find((one) => one.startsWith("data: "));
      if (!line) continue;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new Refused(response.status, event.error);
      yield event;
    }
  }
}
