// Elements of the page.

const $ = (id) => document.getElementById(id);

// An element with properties and children; texts are only ever texts, whatever a sensor or a topic says.
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Changes nothing that is the same already: screen readers and selections are left in peace.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// What need not be there at the first glance.
const afterPaint = (doIt) => requestAnimationFrame(() => setTimeout(doIt));
