// Regions, points, masks and paths of operations, drawn over a picture as SVG in the picture's own pixels.
const SPACE = "http://www.w3.org/2000/svg";

// From the palette of Okabe and Ito, which colour-blind readers can tell apart.
export const COLOURS = {
  ZOOM_IN: "#e69f00",
  SEGMENT_OBJECT_AT: "#009e73",
  READ_TEXT: "#0072b2",
  GET_PROPERTIES: "#cc79a7",
  TRACK_OBJECT: "#d55e00",
  TEMPORAL_LOCALIZE: "#56b4e9",
};

export function box(action, size) {
  const scale = action.arguments.normalized === true ? size : [1, 1];
  const found = numbers(action.result, 4, [1, 1]) ?? numbers(action.arguments, 4, scale);
  return found;
}

function numbers(fields, length, scale) {
  const names = length === 4 ? ["region", "bbox", "init_bbox"] : ["point", "center"];
  for (const name of names) {
    const value = fields?.[name];
    if (Array.isArray(value) && value.length === length && value.every(Number.isFinite)) {
      return value.map((one, i) => one * scale[i % 2]);
    }
  }
  return null;
}

function element(name, attributes) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Each line lies on a wider dark one, so that it shows on any picture.
function rectangle([x1, y1, x2, y2], colour, width) {
  const at = { x: x1, y: y1, width: Math.max(x2 - x1, 1), height: Math.max(y2 - y1, 1), fill: "none" };
  const group = element("g", {});
  group.append(
    element("rect", { ...at, stroke: "#000000", "stroke-opacity": 0.6, "stroke-width": width * 2 }),
    element("rect", { ...at, stroke: colour, "stroke-width": width }),
  );
  return group;
}

// The marks of one operation as a group; empty where it failed or looked at all of the picture.
export function draw(action, number, size) {
  const colour = COLOURS[action.operation] ?? "#888888";
  const width = Math.max(2, Math.max(...size) / 250);
  const group = element("g", { class: "mark", "data-step": number });
  if (action.error) return group;
  const tracked = (action.result.boxes ?? []).filter((one) => Array.isArray(one) && one.length === 4);
  if (action.result.mask) {
    const picture = mask(action.result.mask, colour);
    if (picture) group.append(element("image", { href: picture, x: 0, y: 0, width: size[0], height: size[1], opacity: 0.5 }));
  }
  if (tracked.length) {
    group.append(rectangle(tracked[0], colour, width), rectangle(tracked.at(-1), colour, width / 2));
    const points = tracked.map(([x1, y1, x2, y2]) => `${(x1 + x2) / 2},${(y1 + y2) / 2}`).join(" ");
    group.append(element("polyline", { points, fill: "none", stroke: colour, "stroke-width": width }));
  }
  const region = tracked.length ? tracked[0] : box(action, size);
  if (region && !tracked.length) group.append(rectangle(region, colour, width));
  const scale = action.arguments.normalized === true ? size : [1, 1];
  const point = numbers(action.arguments, 2, scale);
  if (point) group.append(element("circle", { cx: point[0], cy: point[1], r: width * 2, fill: colour }));
  for (const line of action.result.lines ?? []) {
    const inner = line.bbox ?? line.box;
    if (Array.isArray(inner)) group.append(rectangle(inner, colour, width / 2));
  }
  const at = region ?? (point && [point[0], point[1]]);
  if (at) group.append(label(String(number), at, colour, Math.max(...size) / 35));
  return group;
}

function label(text, [x, y], colour, size) {
  const group = element("g", {});
  const words = element("text", { x: x + size * 0.3, y: y + size, "font-size": size, fill: "#000000", "font-family": "sans-serif", "font-weight": "bold" });
  words.textContent = text;
  group.append(element("rect", { x, y, width: size * (0.6 + 0.6 * text.length), height: size * 1.25, fill: colour }), words);
  return group;
}

// COCO's run lengths, column by column, as a picture of one colour.
function mask(code, colour) {
  const [height, width] = code.size ?? [];
  if (!(height * width > 0 && height * width <= 5e7)) return null;
  const counts = typeof code.counts === "string" ? unpack(code.counts) : code.counts;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const [red, green, blue] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  let at = 0;
  counts.forEach((count, i) => {
    for (let end = Math.min(at + count, width * height); at < end; at += 1) {
      if (i % 2) image.data.set([red, green, blue, 255], 4 * ((at % height) * width + Math.floor(at / height)));
    }
  });
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

function unpack(text) {
  const counts = [];
  let at = 0;
  while (at < text.length) {
    let value = 0;
    let bits = 0;
    let code;
    do {
      code = text.charCodeAt(at) - 48;
      at += 1;
      value |= (code & 31) << bits;
      bits += 5;
    } while (code & 32 && at < text.length);
    if (code & 16) value |= -1 << bits;
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}
