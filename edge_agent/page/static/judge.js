// An inspector goes through the last frames that were shown and says what is right, wrong or missed.
// What is on the screen stands still: frames come only when somebody asks for the newest.

import { colour, drawBox } from "./boxes.js";
import { byId, make, number, say } from "./dom.js";

const TIMEOUT_MS = 8000, AGAIN_MS = 1000, WHOLE = -1;
const pictures = new Map(); // frame -> address of its picture in this browser
const words = new Map(); // frame -> what was said of it here: number of a box or WHOLE -> verdict

let device = "", cameras = [], camera = "", frames = [], shown = null, chosen = WHOLE, sending = false;

async function ask(path, options = {}) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store", ...options });
  if (answer.status === 401) location.reload(); // the door asks for the token
  if (!answer.ok) throw new Error((await answer.text()).trim() || `${answer.status}`);
  return answer;
}

function tell(text, kind = "") {
  byId("status").className = `status ${kind}`;
  say(byId("status"), text);
}

function attempt(work) {
  return work().catch((error) => tell(error.name === "TimeoutError" ? "The agent does not answer." : error.message, "failed"));
}

// --- frames ------------------------------------------------------------------------------------

async function begin() {
  const state = await (await ask("/api/state")).json();
  device = state.device;
  cameras = state.cameras.map((one) => one.id);
  const wanted = new URLSearchParams(location.search).get("camera");
  byId("tabs").hidden = cameras.length < 2;
  byId("tabs").replaceChildren(...cameras.map((id) => {
    const tab = make("button", { type: "button", role: "tab", "aria-selected": "false" }, id);
    tab.addEventListener("click", () => attempt(() => choose(id)));
    return tab;
  }));
  if (cameras.length) await choose(cameras.includes(wanted) ? wanted : cameras[0]);
}

async function choose(id) {
  camera = id;
  [...byId("tabs").children].forEach((tab) => tab.setAttribute("aria-selected", tab.textContent === id));
  say(byId("where"), `${device}, ${id}`);
  history.replaceState(null, "", `/judge?camera=${id}`);
  await refresh();
}

async function refresh() {
  const id = camera;
  await ask(`/cameras/${id}/live.jpg`); // what is shown is kept: now there is a newest one
  const fresh = (await (await ask(`/cameras/${id}/shown`)).json()).frames;
  for (const one of fresh) {
    one.seen = new Date(Date.now() - one.age_s * 1000).toLocaleTimeString();
    if (!pictures.has(one.frame)) {
      const picture = await fetch(`/cameras/${id}/shown.jpg?seq=${one.seq}`);
      if (picture.ok) pictures.set(one.frame, URL.createObjectURL(await picture.blob()));
    }
  }
  if (id !== camera) return;
  frames = fresh.filter((one) => pictures.has(one.frame));
  const kept = new Set(frames.map((one) => one.frame));
  for (const [frame, address] of pictures) {
    if (!kept.has(frame)) {
      URL.revokeObjectURL(address);
      pictures.delete(frame);
    }
  }
  open(frames.find((one) => one.boxes.length) || frames[0] || null);
  if (!frames.length) setTimeout(() => id === camera && !frames.length && attempt(refresh), AGAIN_MS);
}

function open(frame) {
  shown = frame;
  chosen = frame && frame.boxes.length === 1 ? 0 : WHOLE;
  byId("ask").hidden = true;
  tell("");
  draw();
}

// --- what is on the screen ---------------------------------------------------------------------

const nameOf = (index) => shown.classes[shown.boxes[index][5]];
const labelOf = (index) => `${nameOf(index)} ${number(shown.boxes[index][4])}`;
const said = () => (shown && words.get(shown.frame)) || new Map();

function draw() {
  byId("picture").hidden = !shown;
  byId("blank").hidden = Boolean(shown);
  drawStrip();
  drawButtons();
  if (!shown) return;
  byId("picture").src = pictures.get(shown.frame);
  const counts = shown.boxes.length ? `${shown.boxes.length} found` : "nothing found";
  byId("picture").alt = `Frame ${shown.frame}: ${counts}`;
  say(byId("caption"), `${shown.seen}, ${shown.model} ${shown.version}: ${counts} · ${shown.frame}`);
  byId("boxes").replaceChildren(...shown.boxes.map((box, index) => target(box, index)).reverse());
  const all = shown.boxes.length ? `All ${shown.boxes.length}` : "The whole picture";
  const chips = shown.boxes.length === 1 ? [] : [chip(WHOLE, all)];
  byId("chips").replaceChildren(...chips, ...shown.boxes.map((_, index) => chip(index, labelOf(index))));
}

function target(box, index) {
  const drawn = drawBox(box, shown.classes), button = make("button", { type: "button", "aria-label": labelOf(index) }, ...drawn.childNodes);
  button.className = `${drawn.className} ${index === chosen ? "chosen" : ""} ${said().has(index) ? `${said().get(index)}-said` : ""}`;
  button.style.cssText = drawn.style.cssText;
  button.addEventListener("click", () => pick(index));
  return button;
}

function chip(index, text) {
  const mark = { right: " ✓", wrong: " ✗" }[said().get(index)] || "";
  const button = make("button", { type: "button", "aria-pressed": index === chosen }, text + mark);
  if (index !== WHOLE) button.style.borderLeft = `6px solid ${colour(shown.boxes[index][5]).css}`;
  button.addEventListener("click", () => pick(index));
  return button;
}

function pick(index) {
  chosen = index;
  byId("ask").hidden = true;
  draw();
}

function drawButtons() {
  const several = shown && chosen === WHOLE && shown.boxes.length > 1;
  byId("right").disabled = byId("missed").disabled = !shown || sending;
  byId("wrong").disabled = !shown || sending || !shown.boxes.length; // where nothing was found, nothing can be wrong
  say(byId("right"), several ? "All right" : "Right");
  say(byId("wrong"), several ? "All wrong" : "Wrong");
}

function drawStrip() {
  byId("strip").replaceChildren(...frames.map((one) => {
    const text = one.boxes.length ? `${one.boxes.length} found` : "nothing";
    const button = make("button", { type: "button", "aria-pressed": one === shown, "aria-label": `Frame ${one.seq}, ${text}` },
      make("img", { src: pictures.get(one.frame), alt: "" }), make("span", {}, text));
    button.className = words.has(one.frame) ? "said" : "";
    button.addEventListener("click", () => open(one));
    return button;
  }));
}

// --- what is said ------------------------------------------------------------------------------

function question(text, answers) {
  say(byId("question"), text);
  byId("answers").replaceChildren(...answers.map(([label, work]) => {
    const button = make("button", { type: "button" }, label);
    button.addEventListener("click", work);
    return button;
  }));
  byId("ask").hidden = false;
  byId("answers").firstElementChild.focus();
  byId("ask").scrollIntoView({ block: "nearest" });
}

const cancel = ["Cancel", () => { byId("ask").hidden = true; }];

function askWrong() {
  if (chosen === WHOLE) {
    const text = `None of the ${shown.boxes.length} is there?`;
    return question(text, [["None is there", () => send("wrong")], cancel]);
  }
  const others = shown.classes.filter((name) => name !== nameOf(chosen));
  question(`It is no ${nameOf(chosen)}. What is it?`, [["Nothing is there", () => send("wrong")],
    ...others.map((name) => [name, () => send("wrong", { actual: name })]), cancel]);
}

function askMissed() {
  question("What was missed?", [...shown.classes.map((name) => [name, () => send("missed", { class: name })]), cancel]);
}

function send(verdict, more = {}) {
  const frame = shown, index = verdict === "missed" ? WHOLE : chosen;
  const document = { frame: frame.frame, verdict, ...more };
  if (index !== WHOLE) {
    const [x0, y0, x1, y1] = frame.boxes[index];
    document.class = nameOf(index);
    document.box = [x0 * frame.width, y0 * frame.height, x1 * frame.width, y1 * frame.height];
  }
  const by = byId("by").value.trim();
  if (by) document.by = by;
  const thing = verdict === "missed" ? more.class : index === WHOLE ? "the whole picture" : labelOf(index);
  byId("ask").hidden = true;
  sending = true;
  drawButtons();
  return attempt(async () => {
    const headers = { "Content-Type": "application/json" };
    await ask("/api/feedback", { method: "POST", headers, body: JSON.stringify(document) });
    const known = words.get(frame.frame) || new Map();
    if (verdict !== "missed" && index === WHOLE) frame.boxes.forEach((_, number_) => known.set(number_, verdict));
    words.set(frame.frame, verdict === "missed" ? known : known.set(index, verdict));
    tell(`Kept: ${thing} is ${verdict}${more.actual ? `, it is ${more.actual}` : ""}.`, "kept");
  }).finally(() => {
    sending = false;
    draw();
  });
}

byId("right").addEventListener("click", () => send("right"));
byId("wrong").addEventListener("click", askWrong);
byId("missed").addEventListener("click", askMissed);
byId("fresh").addEventListener("click", () => attempt(refresh));
byId("by").value = localStorage.getItem("outpost-by") || "";
byId("by").addEventListener("change", (event) => localStorage.setItem("outpost-by", event.target.value.trim()));
attempt(begin);
