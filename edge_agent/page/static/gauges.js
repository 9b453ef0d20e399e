// Numbers as people see them: a value, a meter with its limit, and how it went.

import { byId, make, number, say } from "./dom.js";

export const SPAN_S = 180; // seconds that a line shows
const SVG = "http://www.w3.org/2000/svg";

const GAUGES = [
  { id: "ssim", title: "Likeness (SSIM)" },
  { id: "latency", title: "Latency per frame" },
  { id: "fps", title: "Frames judged" },
  { id: "drift", title: "Output drift (PSI)" },
];

byId("gauges").replaceChildren(...GAUGES.map(({ id, title }) => {
  const value = make("p", { class: "value", id: `${id}-value` }, "–");
  const meter = make("div", { class: "meter", id: `${id}-meter`, role: "meter", "aria-label": title, "aria-valuemin": 0 },
    make("i"), make("b"));
  const line = document.createElementNS(SVG, "svg");
  line.id = `${id}-line`;
  line.setAttribute("viewBox", `0 0 ${SPAN_S} 46`);
  line.setAttribute("preserveAspectRatio", "none");
  line.setAttribute("role", "img");
  return make("article", { class: "gauge" }, make("h2", {}, title), value,
    make("p", { class: "limit", id: `${id}-limit` }), meter, line);
}));

export function gauge(id, { value, unit, digits, least = 0, most, limit, bad, words, points, marks = [] }) {
  byId(`${id}-value`).replaceChildren(number(value, digits), " ", make("small", {}, unit));
  say(byId(`${id}-limit`), words);
  const meter = byId(`${id}-meter`), share = (what) => `${Math.max(0, Math.min(100, (100 * what) / most))}%`;
  meter.classList.toggle("warning", Boolean(bad));
  meter.setAttribute("aria-valuemax", number(most, digits));
  if (value === undefined) meter.removeAttribute("aria-valuenow");
  else meter.setAttribute("aria-valuenow", number(value, digits));
  meter.setAttribute("aria-valuetext", `${number(value, digits)} ${unit}, ${words}`);
  meter.children[0].style.width = share(value || 0);
  meter.children[1].hidden = limit === undefined;
  meter.children[1].style.left = share(limit || 0);
  drawLine(byId(`${id}-line`), points, limit, [least, most], marks);
}

function drawLine(svg, points, limit, [least, most], marks) {
  const height = 46, y = (value) => height - 2 - ((Math.max(least, Math.min(value, most)) - least) / (most - least)) * (height - 5);
  const known = points.filter((point) => point[1] !== null && point[1] !== undefined);
  let path = "";
  known.forEach(([x, value], index) => {
    const gap = index === 0 || (x - known[index - 1][0] > 3 && known.length > 20);
    path += `${gap ? "M" : "L"}${x.toFixed(1)} ${y(value).toFixed(1)}`;
  });
  const parts = marks.map((x) => draw("rect", { class: "bad", x: x - 0.5, y: 0, width: 1, height }));
  if (limit !== undefined) parts.push(draw("line", { class: "limit", x1: 0, x2: SPAN_S, y1: y(limit), y2: y(limit) }));
  parts.push(draw("path", { class: "line", d: path }));
  svg.replaceChildren(...parts);
  const values = known.map((point) => point[1]);
  svg.setAttribute("aria-label", values.length ? `History: from ${number(Math.min(...values))} to ${number(Math.max(...values))}` : "No history yet");
}

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
