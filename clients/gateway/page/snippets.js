// The same question from elsewhere. The picture is a file there, and the key is in the environment.
const QUOTED = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// Fields of a form that are no text are JSON.
function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function options(body) {
  return Object.entries(body).filter(([name]) => !["images", "question"].includes(name));
}

export function curl(body, key) {
  const fields = body.images.map((_, i) => `-F image=@picture${body.images.length > 1 ? i + 1 : ""}.jpg`);
  fields.push(`-F question=${QUOTED(body.question)}`);
  for (const [name, value] of options(body)) fields.push(`-F ${name}=${QUOTED(text(value))}`);
  if (key) fields.push('-H "Authorization: Bearer $PIXELIS_KEY"');
  return `curl ${fields.join(" \\\n  ")} \\\n  ${location.origin}/infer`;
}

export function python(body, key) {
  const files = body.images.map((_, i) => `("image", open("picture${body.images.length > 1 ? i + 1 : ""}.jpg", "rb"))`);
  const fields = [["question", body.question], ...options(body)].map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(text(value))},`);
  return [
    ...(key ? ["import os", ""] : []),
    "import requests",
    "",
    "answer = requests.post(",
    `    ${JSON.stringify(`${location.origin}/infer`)},`,
    `    files=[${files.join(", ")}],`,
    `    data={\n    ${fields.join("\n    ")}\n    },`,
    ...(key ? ['    headers={"Authorization": f"Bearer {os.environ[\'PIXELIS_KEY\']}"},'] : []),
    "    timeout=60,",
    ")",
    "print(answer.json()[\"answer\"])",
    "",
  ].join("\n");
}
