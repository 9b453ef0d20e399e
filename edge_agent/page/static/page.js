// The page of one agent. It asks for the state once a second and for pictures as fast as they come,
// one at a time: a slow link or a phone that sleeps costs the device nothing.

import { drawBox } from "./boxes.js";
import { byId, make, number, say } from "./dom.js";
import { SPAN_S, gauge } from "./gauges.js";

const STATE_MS = 1000, PICTURE_MS = 100, MAP_MS = 600, RELEASES_MS = 10000, TIMEOUT_MS = 4000;
const LOST_S = 3;
const seriesOf = new Map(); // camera -> points [second, frames, latency, ssim, rejected]

let state = null, chosen = null, second = -1, digests = "", heardAt = performance.now();

// --- small helpers ---------------------------------------------------------------------------

function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
  if (answer.status === 401) location.reload(); // the token was changed: the door asks for it
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

async function forever(everyMs, work) {
  for (;;) {
    const began = performance.now();
    try {
      if (!document.hidden) await work();
    } catch {
      await pause(STATE_MS); // the link's trouble is shown by `showLink`
    }
    await pause(Math.max(20, everyMs - (performance.now() - began)));
  }
}

const camera = () => state && state.cameras.find((one) => one.id === chosen);
const model = () => state && camera() && state.models.find((one) => one.name === camera().model);

// --- the state, once a second ----------------------------------------------------------------

async function readState() {
  const fresh = await (await ask(`/api/state?after=${second}`)).json();
  if (fresh.second < second) seriesOf.clear(); // the agent was started again
  state = fresh;
  heardAt = performance.now();
  for (const one of state.cameras) {
    const points = (seriesOf.get(one.id) || []).concat(one.series);
    seriesOf.set(one.id, points.filter((point) => point[0] > state.second - SPAN_S));
  }
  second = Math.max(...state.cameras.flatMap((one) => one.series.map((point) => point[0])), second);
  if (fresh.second < second) second = -1;
  if (!camera()) chosen = state.cameras.length ? state.cameras[0].id : null;
  show();
}

function show() {
  say(byId("device"), state.device);
  say(byId("agent"), `Outpost ${state.agent}`);
  document.title = `${state.sentence.level === "fine" ? "" : "⚠ "}${state.device} · Outpost`;
  showLink();
  showTabs();
  showCamera();
  showGauges();
  showModels();
  showFacts();
  showEvents();
}

function showLink() {
  const silent = (performance.now() - heardAt) / 1000;
  const lost = silent > LOST_S;
  document.body.classList.toggle("stale", lost);
  byId("link").className = `link ${lost ? "error" : state ? "fine" : ""}`;
  say(byId("link"), lost ? "no answer" : state ? "live" : "connecting…");
  if (lost) {
    const words = "The agent does not answer. Is it running, is the network there?";
    showSentence({ level: "error", subject: "", text: words }, `for ${ago(silent)}; what is shown below is from before`, []);
  } else if (state) {
    const since = state.sentence.for_s, others = state.problems.slice(1).map((problem) => problem.text);
    showSentence(state.sentence, since === null ? "" : `for ${ago(since)}`, others);
  }
}

let announced = "";

function showSentence({ level, subject, text: words }, since, others) {
  byId("sentence").className = `sentence ${level}`;
  if (`${level} ${subject}` !== announced) { // numbers in it change every second: not read out again
    announced = `${level} ${subject}`;
    say(byId("announce"), words);
  }
  say(byId("words"), words);
  say(byId("since"), since);
  byId("others").replaceChildren(...others.map((text) => make("li", {}, text)));
}

function showTabs() {
  const tabs = byId("tabs");
  tabs.hidden = state.cameras.length < 2;
  if (tabs.childElementCount !== state.cameras.length) {
    tabs.replaceChildren(...state.cameras.map((one) => {
      const tab = make("button", { role: "tab", type: "button", id: `tab-${one.id}`, "aria-controls": "panel" }, one.id);
      tab.addEventListener("click", () => choose(one.id));
      return tab;
    }));
  }
  state.cameras.forEach((one, index) => {
    const tab = tabs.children[index], selected = one.id === chosen;
    tab.className = one.level;
    tab.setAttribute("aria-selected", selected);
    tab.tabIndex = selected ? 0 : -1;
    tab.setAttribute("aria-label", `${one.id}, ${one.level}`);
  });
  byId("panel").setAttribute("role", tabs.hidden ? "region" : "tabpanel");
  byId("panel").setAttribute("aria-label", `Camera ${chosen}`);
}

function choose(id) {
  chosen = id;
  shown = { camera: null, number: -1 };
  byId("live").hidden = byId("badge").hidden = true;
  byId("blank").hidden = false;
  byId("boxes").replaceChildren();
  show();
  tellReference();
}

byId("tabs").addEventListener("keydown", (event) => {
  const ids = state.cameras.map((one) => one.id), here = ids.indexOf(chosen);
  const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: ids.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(ids[(to + ids.length) % ids.length]);
  byId(`tab-${chosen}`).focus();
});

// --- pictures --------------------------------------------------------------------------------

let shown = { camera: null, number: -1 }; // the live picture that is on the screen
let referenceOf = ""; // camera and release whose reference is on the screen

function setPicture(image, blob) {
  const before = image.src;
  image.src = URL.createObjectURL(blob);
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

async function readPicture() {
  if (!chosen) return;
  const id = chosen;
  const answer = await ask(`/cameras/${id}/live.jpg?after=${shown.number}`);
  if (answer.status !== 200 || id !== chosen) return;
  const seen = JSON.parse(answer.headers.get("X-Outpost-Frame"));
  setPicture(byId("live"), await answer.blob());
  shown = { camera: id, number: seen.number };
  byId("live").hidden = false;
  byId("blank").hidden = true;
  byId("stage").style.setProperty("--ratio", seen.width / seen.height);
  byId("judge").href = `/judge?camera=${id}`;
  showBoxes(seen);
}

function showBoxes(seen) {
  const names = (model() && model().classes) || [];
  const boxes = byId("show-boxes").checked ? seen.boxes : [];
  byId("boxes").replaceChildren(...boxes.slice().reverse().map((box) => drawBox(box, names)));
  const counts = new Map();
  for (const box of seen.boxes) counts.set(box[5], (counts.get(box[5]) || 0) + 1);
  const words = [...counts].map(([id, count]) => `${count} × ${names[id] || id}`).join(", ");
  const judged = seen.latency_ms === undefined;
  const found = judged ? "kept from the model by the input check" : words || "nothing found";
  const caption = seen.masked ? `${found} · black: masked` : found;
  say(byId("caption"), `Live: ${caption}`);
  byId("live").alt = `Live picture of camera ${chosen}: ${caption}`;
  const badge = byId("badge");
  badge.hidden = seen.ssim === undefined;
  badge.className = `badge ${seen.passed === false ? "warning" : ""}`;
  const least = seen.ssim_min === undefined ? "" : ` (at least ${number(seen.ssim_min)})`;
  say(badge, `SSIM ${number(seen.ssim)}${least}`);
}

async function tellReference() {
  const now = `${chosen} ${model() && model().digest} ${camera() && camera().last !== null}`;
  if (!chosen || now === referenceOf) return;
  referenceOf = now;
  const answer = await ask(`/cameras/${chosen}/reference.jpg`);
  const there = answer.status === 200;
  byId("reference-card").hidden = !there;
  byId("blend").disabled = !there;
  if (there) {
    const blob = await answer.blob();
    setPicture(byId("reference"), blob);
    setPicture(byId("ghost"), blob);
  } else {
    byId("ghost").hidden = true;
  }
}

async function readMap() {
  await tellReference();
  const wanted = chosen && byId("show-map").checked && !byId("reference-card").hidden;
  byId("map").hidden = !wanted;
  if (!wanted) return;
  const id = chosen, answer = await ask(`/cameras/${id}/map.png`);
  if (answer.status === 200 && id === chosen) setPicture(byId("map"), await answer.blob());
}

byId("blend").addEventListener("input", (event) => {
  byId("ghost").hidden = event.target.value === "0";
  byId("ghost").style.opacity = event.target.value / 100;
});
byId("full").hidden = !document.fullscreenEnabled;
byId("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else byId("live-card").requestFullscreen();
});
document.addEventListener("fullscreenchange", () => {
  say(byId("full"), document.fullscreenElement ? "Leave full screen" : "Full screen");
});

function showCamera() {
  const one = camera();
  byId("camera-state").className = `tag ${one ? one.level : ""}`;
  say(byId("camera-state"), one ? one.state : "");
  if (!one || one.last === null) say(byId("blank"), one && one.state === "down" ? "The camera gives no frames" : "No picture yet");
}

// --- gauges ----------------------------------------------------------------------------------

function showGauges() {
  const one = camera();
  if (!one) return;
  const points = seriesOf.get(one.id) || [], last = one.last || {}, system = state.system;
  const at = (point) => point[0] - state.second + SPAN_S;
  const similar = points.map((point) => [at(point), point[3]]);
  gauge("ssim", {
    value: last.ssim, unit: "", digits: 2, most: 1, limit: last.ssim_min, bad: last.passed === false,
    words: one.last === null ? "no frame yet" : last.ssim === undefined ? "no reference picture" : last.ssim_min === undefined ? "no threshold is known" : `at least ${number(last.ssim_min)}`,
    least: Math.max(0, Math.min(last.ssim_min ?? 1, ...similar.map((point) => point[1] ?? 1)) - 0.1), points: similar,
    marks: points.filter((point) => point[4]).map(at),
  });
  const latencies = points.map((point) => [at(point), point[2]]);
  const p95 = system.latency_p95_ms, sorted = latencies.map((point) => point[1] || 0).sort((a, b) => a - b);
  const usual = sorted[Math.floor(0.95 * sorted.length)]; // one slow frame does not flatten the line
  gauge("latency", {
    value: last.latency_ms, unit: "ms", digits: 1, most: 1.25 * Math.max(p95 || 0, usual || 0, 1), limit: p95,
    words: p95 === undefined ? "" : `median ${number(system.latency_p50_ms, 1)}, 95 % below ${number(p95, 1)} ms`, points: latencies,
  });
  const rates = points.map((point) => [at(point), point[1]]);
  const { captured, skipped, dropped } = one.frames;
  const share = (count) => `${Math.round((100 * count) / Math.max(1, captured))} %`;
  gauge("fps", {
    value: one.fps, unit: "per s", digits: 1, most: 1.25 * Math.max(1, ...rates.map((point) => point[1])),
    words: captured ? `${share(dropped)} dropped, ${share(skipped)} kept from the model` : "", points: rates,
  });
  showDrift();
}

function showDrift() {
  const drift = model() && model().drift;
  if (!drift) return;
  const worst = drift.features.slice().sort((a, b) => b.psi / b.limit - a.psi / a.limit)[0];
  const own = drift.samples_needed ? `; ${drift.samples} of ${drift.samples_needed} to judge the camera by its own past` : "";
  const gathered = `${drift.frames} of ${drift.needed} frames for the next verdict${own}`;
  const most = Math.max(0.1, ...drift.series.map((one) => Math.max(one[2], one[3]) * 1.2));
  // Verdicts are rare, so this line has one step per verdict instead of a time axis.
  const step = SPAN_S / Math.max(1, drift.series.length - 1);
  const points = drift.series.map((one, index) => [drift.series.length > 1 ? index * step : SPAN_S, one[2]]);
  gauge("drift", {
    value: worst && worst.psi, unit: "", digits: 2, most, limit: worst && worst.limit, bad: drift.suspected,
    words: worst ? `${worst.name.replaceAll("_", " ")}, allowed ${number(worst.limit)}; ${gathered}` : gathered, points,
  });
}

// --- releases, facts, events -----------------------------------------------------------------

let releases = { models: [] };
const OUTCOMES = { COMMITTED: "fine", FAILED: "error", ROLLED_BACK: "warning", HELD: "notice", AGENT_FELL_BACK: "error" };
const PROGRESS = new Set(["RESOLVED", "DOWNLOADED", "VERIFIED", "PREPARED", "SHADOW", "SWITCHING", "TRIAL", "ROLLING_BACK"]);

async function readReleases() {
  releases = await (await ask("/api/releases")).json();
  showModels();
  const rows = releases.models.flatMap((one) => one.history
    .filter((row) => !PROGRESS.has(row.to) && row.to !== "IDLE").map((row) => ({ ...row, name: one.name })));
  rows.sort((a, b) => b.at - a.at);
  const items = rows.map((row) => make("li", {}, when(row.age_s, row.at), make("p", {},
    tag(row.to.replaceAll("_", " ").toLowerCase(), OUTCOMES[row.to] || "notice"),
    make("b", {}, `${row.name} ${row.version || ""} `), make("span", { class: "soft" }, row.reason))));
  byId("history").replaceChildren(...(items.length ? items : [make("li", { class: "soft" }, "–", make("p", {}, "Nothing was ever installed here."))]));
}

const tag = (words, level) => make("span", { class: `tag ${level}` }, words);

function when(age, at = Date.now() / 1000 - age) {
  return make("time", { title: new Date(at * 1000).toLocaleString() }, `${ago(age)} ago`);
}

function showModels() {
  if (!state) return;
  byId("models").replaceChildren(...state.models.map((one) => {
    const known = releases.models.find((release) => release.name === one.name);
    const card = make("div", { class: "model" });
    const title = make("h2", {}, one.version ? `${one.name} ${one.version} runs` : `${one.name}: nothing runs`);
    const facts = make("dl", { class: "facts" });
    const fact = (name, ...value) => facts.append(make("dt", {}, name), make("dd", {}, ...value));
    if (one.version) {
      const active = one.provider === one.wanted_provider;
      fact("Release", make("code", { title: one.digest }, one.digest.slice(0, 16)));
      fact("Runs on", active ? `${one.provider}, ${one.variant}` : `${one.provider} instead of ${one.wanted_provider}, ${one.variant}`);
    }
    if (known) {
      const progress = PROGRESS.has(known.state) && known.candidate_version ? `, version ${known.candidate_version}` : "";
      fact("State", tag(known.state.replaceAll("_", " ").toLowerCase(), OUTCOMES[known.state] || "notice"), progress);
      if (known.reason) fact("Reason", known.reason);
      if (known.previous_version) fact("To go back to", `version ${known.previous_version}`);
      if (known.bans.length) fact("Banned", known.bans.map((ban) => `version ${ban.version || ban.digest.slice(0, 12)}`).join(", "));
    }
    card.append(title, facts);
    return card;
  }));
  const now = state.models.map((one) => one.digest).join();
  if (now !== digests) {
    digests = now;
    readReleases().catch(() => {});
  }
}

function showFacts() {
  const one = camera(), system = state.system, rows = [];
  const fact = (name, value) => value !== undefined && rows.push(make("dt", {}, name), make("dd", {}, value));
  if (one) {
    const last = one.last || {}, { captured, inferred, skipped, dropped, errors } = one.frames;
    fact("Camera", `${one.id}, ${one.state}`);
    if (last.width) fact("Picture", `${last.width} × ${last.height}, ${ago(last.age_s)} old`);
    if (last.text) fact("Input check", last.text);
    if (last.luminance !== undefined) fact("Light, contrast", `${number(last.luminance)}, ${number(last.contrast)}; sharpness ${number(last.sharpness, 1)}`);
    fact("Frames", `${captured} captured, ${inferred} inferred, ${skipped} skipped, ${dropped} dropped, ${errors} errors`);
  }
  const percent = (value) => (value === undefined ? undefined : `${Math.round(value)} %`);
  fact("Agent runs for", system.uptime_s === undefined ? undefined : ago(system.uptime_s));
  fact("Processor", percent(system.cpu_percent));
  fact("Memory", system.rss_mb === undefined ? undefined : `${Math.round(system.rss_mb)} MB of the agent, ${percent(system.memory_percent)} of the device`);
  fact("Disk", percent(system.disk_percent));
  fact("Temperature", system.temperature_c === undefined ? undefined : `${Math.round(system.temperature_c)} °C`);
  byId("facts").replaceChildren(...rows);
}

function showEvents() {
  const level = { warning: "warning", error: "error" };
  byId("events").replaceChildren(...state.events.map((event) => make("li", {}, when(event.age_s),
    make("p", {}, tag(event.kind, level[event.severity] || "notice"), make("span", {}, event.text)))));
}

if (location.search) history.replaceState(null, "", "/"); // a token does not stay in the address
setInterval(() => document.hidden || showLink(), 1000);
document.addEventListener("visibilitychange", () => { heardAt = performance.now(); }); // it did not ask meanwhile
forever(STATE_MS, readState);
forever(PICTURE_MS, readPicture);
forever(MAP_MS, readMap);
forever(RELEASES_MS, readReleases);
