// Draws one quantity over time into an SVG: the band between smallest and largest value, the mean, and gaps as
// gaps. Knows words.js, and nothing of the page around it.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Steps that people count in, so that about `count` of them span `range`.
function step(range, count) {
  const rough = range / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
}

const STEPS = [1, 2, 5, 10, 15, 30].map((n) => n * MINUTE).concat([1, 2, 3, 6, 12].map((n) => n * HOUR), [1, 2, 5, 7].map((n) => n * DAY));

// Ticks at whole minutes, hours or days of the browser's time zone, on both sides of a change of its clocks.
function timeTicks(from, to, count) {
  const every = STEPS.find((one) => (to - from) / one <= count) ?? 7 * DAY;
  const shift = (t) => new Date(t).getTimezoneOffset() * MINUTE;
  const ticks = [];
  for (let local = Math.floor((from - shift(from)) / every) * every; ; local += every) {
    const t = local + shift(local + shift(from));
    if (t > to) break;
    if (t >= from && t > (ticks.at(-1) ?? -Infinity)) ticks.push(t);
  }
  const midnight = (t) => new Date(t).getHours() === 0 && new Date(t).getMinutes() === 0;
  const label = (t) => every >= DAY || (midnight(t) && to - from > 2 * HOUR)
    ? moment(t, DATE) : moment(t, HOURS);
  return ticks.map((t) => [t, label(t)]);
}

// Stretches of the line between gaps. Each has the points of its mean, and top and bottom of its band.
function stretches(data) {
  const end = data.to - data.from;
  const gaps = data.gaps;
  const isBroken = (a, b) => gaps.some(([begin, stop]) => begin < b && stop > a && stop - begin > 0);
  const found = [];
  let current = null, held = null;
  const begin = () => found.push((current = { mean: [], top: [], bottom: [] }));
  const put = (t, low, middle, high) => {
    current.mean.push([t, middle]);
    current.top.push([t, high]);
    current.bottom.push([t, low]);
  };
  const flat = (t, value) => put(t, value, value, value);
  const starts = gaps.length > 0 && gaps[0][0] <= 0;
  if (data.before && !starts) {
    begin();
    flat(0, data.before.v);
    held = [0, data.before.v];
  }
  for (let i = 0; i < data.first.length; i++) {
    const from = data.first[i], to = data.last[i];
    if (current && held && isBroken(held[0] + 1, from - 1)) {
      const gap = gaps.find(([start, stop]) => start < from && stop > held[0]);
      if (gap && gap[0] > held[0]) flat(gap[0], held[1]);
      current = null;
    }
    if (!current) begin();
    // What did not change was not logged: until the next reading it is what it was.
    else if (held && (data.width === 0 || from - held[0] > 1.5 * data.width)) flat(from, held[1]);
    if (data.width === 0) flat(from, data.mean[i]);
    else {
      put(from, data.min[i], data.mean[i], data.max[i]);
      if (to > from) put(to, data.min[i], data.mean[i], data.max[i]);
    }
    held = [to, data.end[i]];
  }
  if (current && held) {
    const last = gaps.find(([start]) => start >= held[0]);
    flat(last ? last[0] : end, held[1]);
  }
  return found;
}

// Smallest and largest value to show, with some air.
function extent(data) {
  const values = [...data.min, ...data.max];
  if (data.before) values.push(data.before.v);
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!Number.isFinite(low)) return null;
  if (low === high) {
    const air = Math.max(Math.abs(low) * 0.05, 0.5);
    return [low - air, high + air];
  }
  const air = (high - low) * 0.06;
  return [low - air, high + air];
}

// Draws into `box`. `show(index or null)` is called for the reading under the pointer or the keys; `format(value)`
// gives a value with its unit.
function draw(box, data, { label, format, show, why }) {
  const range = extent(data);
  if (!range) {
    const empty = document.createElement("p");
    empty.className = "empty";
    empty.textContent = "No readings in this time.";
    box.replaceChildren(empty);
    return;
  }
  const width = Math.max(280, box.clientWidth), height = 300;
  const every = step(range[1] - range[0], 5);
  const decimals = Math.max(0, Math.min(9, -Math.floor(Math.log10(every) + 1e-9)));
  const ticks = [];
  for (let v = Math.ceil(range[0] / every) * every; v <= range[1] + every * 1e-6; v += every) ticks.push(v);
  const text = (value) => Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4)
    ? value.toExponential(2) : numeral(value, decimals, decimals);
  const left = Math.max(...ticks.map((v) => text(v).length)) * 7.2 + 14;
  const right = 8, top = 10, bottom = 26;
  const span = data.to - data.from;
  const x = (t) => left + (t / span) * (width - left - right);
  const y = (v) => top + (1 - (v - range[0]) / (range[1] - range[0])) * (height - top - bottom);
  const at = ([t, v]) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`;

  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": label });
  const hatch = make("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  hatch.append(make("line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "hatch-line" }));
  const definitions = make("defs");
  definitions.append(hatch);
  svg.append(definitions);
  for (const v of ticks) {
    svg.append(make("line", { x1: left, x2: width - right, y1: y(v), y2: y(v), class: "grid-line" }));
    svg.append(make("text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, text(v)));
  }
  for (const [t, words] of timeTicks(data.from, data.to, Math.max(2, (width - left) / 72))) {
    const place = x(t - data.from);
    svg.append(make("line", { x1: place, x2: place, y1: top, y2: height - bottom, class: "grid-line" }));
    if (place > left + 16 && place < width - 20) {
      svg.append(make("text", { x: place, y: height - 8, "text-anchor": "middle" }, words));
    }
  }
  for (const [begin, end, reason] of data.gaps) {
    const from = x(Math.max(0, begin)), wide = Math.max(1.5, x(Math.min(span, end)) - from);
    const area = make("rect", { x: from, y: top, width: wide, height: height - top - bottom, class: "gap-area" });
    area.append(make("title", {}, why(reason)));
    svg.append(area);
    if (wide > 130) svg.append(make("text", { x: from + wide / 2, y: top + 16, "text-anchor": "middle" }, why(reason)));
  }
  for (const one of stretches(data)) {
    if (data.width > 0) {
      const outline = [...one.top.map(at), ...one.bottom.map(at).reverse()].join(" ");
      svg.append(make("polygon", { points: outline, class: "band" }));
    }
    svg.append(make("polyline", { points: one.mean.map(at).join(" "), class: "mean" }));
  }
  // Few readings: each can be seen.
  if (data.width === 0 && data.first.length <= 60) {
    data.first.forEach((t, i) => svg.append(make("circle", { cx: x(t), cy: y(data.mean[i]), r: 2.5, class: "dot" })));
  }

  const cross = make("line", { y1: top, y2: height - bottom, class: "cross", visibility: "hidden" });
  const mark = make("circle", { r: 4, class: "dot", visibility: "hidden" });
  svg.append(cross, mark);
  const middle = data.first.map((t, i) => (t + data.last[i]) / 2);
  let chosen = null;
  const choose = (index) => {
    chosen = index;
    for (const one of [cross, mark]) one.setAttribute("visibility", index === null ? "hidden" : "visible");
    if (index !== null) {
      const place = x(middle[index]);
      cross.setAttribute("x1", place);
      cross.setAttribute("x2", place);
      mark.setAttribute("cx", place);
      mark.setAttribute("cy", y(data.mean[index]));
    }
    show(index);
  };
  const nearest = (t) => {
    let best = null;
    middle.forEach((one, i) => { if (best === null || Math.abs(one - t) < Math.abs(middle[best] - t)) best = i; });
    return best;
  };
  svg.addEventListener("pointermove", (event) => {
    const place = event.clientX - svg.getBoundingClientRect().left;
    choose(nearest(((place - left) / (width - left - right)) * span));
  });
  svg.addEventListener("pointerleave", () => choose(null));
  svg.addEventListener("keydown", (event) => {
    const many = Math.max(1, Math.round(middle.length / 20)), end = middle.length - 1;
    const from = chosen ?? end + 1;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - many, PageDown: from + many, Home: 0, End: end }[event.key];
    if (to === undefined || end < 0) return;
    event.preventDefault();
    choose(Math.min(end, Math.max(0, to)));
  });
  svg.addEventListener("blur", () => choose(null));
  box.replaceChildren(svg);
}

// The last hour in little. `spark` has points [place, min, max] and gaps [begin, end], places from 0 to 1.
function drawSpark(svg, spark) {
  const width = 84, height = 28, air = 3;
  let low = Infinity, high = -Infinity;
  for (const [, min, max] of spark.points) {
    low = Math.min(low, min);
    high = Math.max(high, max);
  }
  if (!Number.isFinite(low)) return svg.replaceChildren();
  const y = (v) => (high === low ? height / 2 : air + (1 - (v - low) / (high - low)) * (height - 2 * air)).toFixed(1);
  const x = (place) => (place * width).toFixed(1);
  let path = "", last = null, value = null;
  for (const [place, min, max] of spark.points) {
    const broken = last !== null && spark.gaps.some(([begin, end]) => begin < place && end > last);
    path += last === null || broken ? `M${x(place)} ${y(max)}` : `L${x(place)} ${y(max)}`;
    if (min !== max) path += `L${x(place)} ${y(min)}`;
    last = place;
    value = min;
  }
  if (!spark.gaps.some(([begin]) => begin >= last)) path += `L${x(1)} ${y(value)}`;
  const gaps = spark.gaps.map(([begin, end]) => {
    const from = Math.max(0, begin) * width;
    return make("rect", { class: "gap", x: from, y: 0, width: Math.max(1, end * width - from), height });
  });
  svg.replaceChildren(...gaps, make("path", { d: path }));
}
