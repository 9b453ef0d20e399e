// Elements of a page: finding, making, wording.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text; // else a screen reader repeats it
}

export function number(value, digits = 2) {
  return value === undefined || value === null ? "–" : value.toFixed(digits);
}
