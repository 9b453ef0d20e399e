// Boxes over a picture, on the live page and on the page where they are judged.

import { make, number } from "./dom.js";

export function drawBox([x0, y0, x1, y1, score, id], names) {
  const ink = colour(id);
  const label = make("span", {}, `${names[id] || id} ${number(score)}`);
  label.style.background = ink.css;
  label.style.color = ink.dark ? "#fff" : "#141414";
  const box = make("div", { class: `box ${y0 < 0.06 ? "low" : ""} ${x0 > 0.8 ? "right" : ""}` }, label);
  box.style.cssText = `left:${x0 * 100}%;top:${y0 * 100}%;width:${(x1 - x0) * 100}%;height:${(y1 - y0) * 100}%`;
  box.style.borderColor = ink.css;
  return box;
}

export function colour(id) { // as edge_agent/detection/draw.py: hues at the golden ratio
  const hue = ((0.98 + id * 0.618034) % 1) * 6, value = 0.98, low = value * (1 - 0.78);
  const part = (shift) => {
    const place = (shift + hue) % 6;
    return Math.round(255 * (value - (value - low) * Math.max(0, Math.min(place, 4 - place, 1))));
  };
  const [red, green, blue] = [part(5), part(3), part(1)];
  return { css: `rgb(${red} ${green} ${blue})`, dark: 0.299 * red + 0.587 * green + 0.114 * blue <= 130 };
}
