// The page: takes pieces of what the bridge knows as they come and shows them. Plots are drawn by plot.js, pictures
// shown by pictures.js. All of them are one script, and it stands in the page, beneath what there is to see at first.

const MARKS = { good: "●", warn: "▲", bad: "■", none: "○" };
const WORDS = { starting: "starting", ok: "ok", degraded: "look at it", failed: "not working", stopped: "stopped" };
const CLASSES = { starting: "none", ok: "good", degraded: "warn", failed: "bad", stopped: "none" };

function mark(state) {
  const kind = CLASSES[state] ?? "none";
  return h("span", { className: `mark ${kind}`, "aria-hidden": "true" }, MARKS[kind]);
}

// ---- what is known ----

const pieces = new Map();
let clock = { server: Date.now(), here: performance.now() };
const now = () => clock.server + (performance.now() - clock.here);
const named = (kind) => [...pieces].filter(([name]) => name.startsWith(kind)).map(([name, piece]) => [name.slice(kind.length), piece]);

function take(frame) {
  const changed = new Set();
  for (const [name, piece] of Object.entries(frame)) {
    if (piece === null) pieces.delete(name);
    else pieces.set(name, piece);
    changed.add(name.split("/")[0]);
    if (name.startsWith("value/")) freshValues.add(name.slice(6));
  }
  if (frame.now) clock = { server: frame.now.t, here: performance.now() };
  show(changed);
}

// ---- live ----

let source = null, lostSince = null, retry = null;

function connect() {
  clearTimeout(retry);
  if (source || document.hidden) return;
  source = new EventSource("/api/live");
  let first = true;
  source.onmessage = (event) => {
    if (lostSince !== null) {
      lostSince = null;
      $("lost").hidden = true;
    }
    const frame = JSON.parse(event.data);
    // The first one has all that there is: what is not in it went while nobody looked.
    if (first) for (const name of pieces.keys()) frame[name] ??= null;
    first = false;
    take(frame);
  };
  source.onerror = () => {
    // The browser's own retry has no end for a server that says no.
    disconnect();
    lostSince ??= now();
    checkSession();
    retry = setTimeout(connect, 3000);
  };
}

function disconnect() {
  source?.close();
  source = null;
}

async function checkSession() {
  let why = "The bridge does not answer.";
  try {
    const answer = await fetch("/api/session");
    if (answer.status === 401) return location.assign("/login");
    if (answer.ok) why = "As many pages are open as the bridge keeps up to date; close one.";
  } catch { /* It does not answer: that is what is said. */ }
  if (lostSince === null) return;
  $("lost").hidden = false;
  put($("lost"), `${why} What you see is of ${clockTime(lostSince)}; trying again.`);
}

document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => { if (event.persisted) connect(); });

async function ask(path, parameters) {
  const answer = await fetch(`${path}?${new URLSearchParams(parameters)}`);
  if (answer.status === 401) location.assign("/login");
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

// ---- the cards at the top ----

const cards = new Map();

function card(name, title, big, lines, meter) {
  let one = cards.get(name);
  if (!one) {
    one = h("div", { className: "card" });
    cards.set(name, one);
    $("cards").append(one);
  }
  const children = [h("h3", {}, title), h("p", { className: "big" }, ...big)];
  for (const line of lines.filter(Boolean)) {
    children.push(h("p", { className: typeof line === "string" ? "line" : line.kind }, typeof line === "string" ? line : line.text));
  }
  if (meter) {
    const bar = h("span");
    bar.style.width = `${Math.min(100, Math.max(1, meter.share * 100))}%`;
    children.push(h("div", { className: `meter ${meter.kind ?? ""}`, "aria-hidden": "true" }, bar), h("p", { className: "line" }, meter.text));
  }
  const text = children.map((child) => child.className + child.textContent).join("|") + meter?.share;
  if (one.dataset.text === text) return;
  one.dataset.text = text;
  one.replaceChildren(...children);
}

function showCards() {
  const at = now();
  const broker = pieces.get("broker");
  if (broker) {
    const words = { ok: "Connected", degraded: "Connected", failed: "Not connected", starting: "Connecting", stopped: "Stopped" };
    const retry = broker.state === "failed" && broker.retry ? `tries again every ${length(broker.retry * 1000)}` : "";
    card("broker", "Broker", [mark(broker.state), " ", words[broker.state]], [
      broker.why && { kind: "line why", text: broker.why },
      `for ${length(at - broker.since)}, since ${clockTime(broker.since, false)}`,
      retry,
      broker.delay && broker.state !== "failed" ? `acknowledges in ${numeral(broker.delay * 1000, broker.delay < 0.01 ? 1 : 0)} ms` : "",
      broker.url,
    ]);
    const waits = broker.backlog;
    const lines = [`${count(broker.in_flight)} in flight`];
    if (broker.drain > 0 && broker.left !== null) lines.push(`${count(broker.drain)}/s go out, about ${length(broker.left * 1000)} left`);
    else if (waits > 100) lines.push(broker.state === "failed" ? "kept until the broker is back" : "going out");
    if (broker.late) lines.push(`${count(broker.late)} follow late`);
    if (broker.refused) lines.push({ kind: "line why", text: `${count(broker.refused)} refused by the broker` });
    card("backlog", "Waiting for delivery", [waits === 0 ? "nothing" : `${count(waits)} reading${waits === 1 ? "" : "s"}`], lines);
  } else if (pieces.has("device")) {
    card("broker", "Broker", ["none"], ["readings are only logged"]);
    cards.get("backlog")?.remove();
    cards.delete("backlog");
  }
  const time = pieces.get("now");
  if (time) {
    const synced = time.clock === "synced";
    card("clock", "Clock", [mark(synced ? "ok" : "degraded"), " ", synced ? "Synchronised" : "Not synced"], [
      `${moment(at, SECONDS)} here`,
      !synced && { kind: "line why", text: "Times may be wrong; they are corrected once it is right." },
    ]);
  }
  const log = pieces.get("log"), machine = pieces.get("machine");
  if (log && machine) {
    const share = machine.disk_size ? 1 - machine.disk_free / machine.disk_size : null;
    const kind = share > 0.99 ? "bad" : share > 0.95 ? "warn" : "";
    card("disk", "Log and disk", [mark(log.state), " ", `${bytes(log.size)}`], [
      log.why && { kind: "line why", text: log.why },
      `${count(log.rows)} readings` + (log.oldest ? ` since ${moment(Date.parse(log.oldest), SINCE)}` : ""),
      log.lost ? { kind: "line why", text: `${count(log.lost)} lost` } : "",
    ], share !== null && { share, kind, text: `${bytes(machine.disk_free)} of ${bytes(machine.disk_size)} free` });
    if (machine.memory) {
      const used = machine.memory_size ? 1 - machine.memory_free / machine.memory_size : null;
      card("memory", "Memory", [bytes(machine.memory)], [
        "used by the bridge",
      ], used !== null && { share: used, kind: used > 0.95 ? "warn" : "", text: `${bytes(machine.memory_free)} of ${bytes(machine.memory_size)} free` });
    }
  }
}

// What has no place of its own on the page: only when something is wrong with it.
function showParts() {
  const parts = named("part/").filter(([, part]) => part.state === "failed" || part.state === "degraded");
  if (parts.length === 0) {
    cards.get("parts")?.remove();
    cards.delete("parts");
    return;
  }
  const worst = parts.some(([, part]) => part.state === "failed") ? "failed" : "degraded";
  const lines = parts.map(([name, part]) => ({ kind: "line why", text: `${name}: ${part.why}` }));
  card("parts", "Other parts", [mark(worst), " ", WORDS[worst]], lines);
}

function showHead() {
  const device = pieces.get("device"), health = pieces.get("health");
  if (device) {
    put($("device"), device.id);
    put($("place"), device.place ?? "");
    document.title = `${device.id} · sensor-bridge`;
    put($("about"), `sensor-bridge ${device.program}, running for ${length(now() - device.started)} · ${device.database}`);
  }
  if (health) {
    const bad = health.reasons.length, warn = health.warnings.length;
    const kind = bad ? "bad" : warn ? "warn" : "good";
    const words = bad ? `${bad} not working` : warn ? `${warn} to look at` : "all is well";
    const pill = $("overall");
    if (pill.dataset.words !== words) {
      pill.dataset.words = words;
      pill.className = `pill ${kind}`;
      pill.replaceChildren(h("span", { "aria-hidden": "true" }, MARKS[kind] + " "), words);
    }
    pill.title = [...health.reasons, ...health.warnings].join("\n");
  }
}

// ---- sensors ----

const sensors = new Map();
const rows = new Map();
const freshValues = new Set();

function quality(sensor, value) {
  if (sensor.state === "failed") return ["bad", "no answer"];
  if (value.t === null) return ["none", "no value yet"];
  if (value.verdict === "refused") return ["warn", "last one not plausible"];
  if (now() - value.t > Math.max(3 * sensor.interval * SECOND + 5 * SECOND, 10 * SECOND)) return ["warn", "late"];
  if (value.clock && value.clock !== "synced") return ["none", "clock was not synchronised"];
  return ["good", "good"];
}

function makeRow(sensor, quantity) {
  const key = `${sensor}/${quantity}`;
  const spark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  spark.setAttribute("class", "spark");
  spark.setAttribute("viewBox", "0 0 84 28");
  spark.setAttribute("preserveAspectRatio", "none");
  spark.setAttribute("aria-hidden", "true");
  const number = document.createTextNode(""), unit = h("small"), age = h("span", { className: "age" });
  const value = h("span", { className: "value" }, number, unit);
  const word = h("span", { className: "unseen" });
  const button = h("button", { type: "button", className: "quantity" }, h("span", { className: "name" }, spoken(quantity)), spark, value, age, word);
  button.addEventListener("click", () => {
    if (pieces.get(`value/${key}`)?.k === "image") return $("pictures").scrollIntoView();
    location.hash = `#/${encodeURIComponent(sensor)}/${encodeURIComponent(quantity)}/24h`;
  });
  rows.set(key, { button, spark, value, number, unit, age, word, sensor, quantity, visible: false, sparked: -Infinity });
  button.dataset.key = key;
  watcher.observe(button);
  return button;
}

function showRow(key) {
  const row = rows.get(key), value = pieces.get(`value/${key}`), sensor = row && pieces.get(`sensor/${row.sensor}`);
  if (!row || !value || !sensor) return;
  const [number, unit] = value.k === "image" && value.v !== null ? ["picture", ""] : shown(value.v, value.u, value.k);
  row.value.classList.toggle("long", number.length > 12);
  if (row.number.data !== number) row.number.data = number;
  put(row.unit, unit ? ` ${unit}` : "");
  showAge(row, value, sensor);
}

function showAge(row, value, sensor) {
  const [kind, word] = quality(sensor, value);
  const old = value.t === null ? "" : age(now() - value.t);
  put(row.age, kind === "warn" ? `${MARKS.warn} ${old}` : old);
  row.age.className = `age ${kind === "warn" ? kind : ""}`;
  row.button.classList.toggle("old", kind === "warn" || kind === "bad");
  put(row.word, ` ${value.t === null || old === "now" ? "" : "old, "}${word}, show the plot`);
  row.button.title = word;
}

function showSensors() {
  const all = named("sensor/").sort(([, a], [, b]) => a.n - b.n);
  let moved = false;
  for (const [name, sensor] of all) {
    let one = sensors.get(name);
    const shape = sensor.quantities.join("\n");
    if (!one || one.shape !== shape) {
      const head = h("span"), about = h("span", { className: "muted" }), why = h("p", { className: "why" });
      const article = h("article", { className: "card sensor", "aria-label": `Sensor ${name}` },
        h("header", {}, head, h("h3", {}, name), about), why, ...sensor.quantities.map((quantity) => makeRow(name, quantity)));
      one?.article.remove();
      sizer.observe(article);
      one = { article, head, about, why, shape };
      sensors.set(name, one);
      moved = true;
    }
    const state = `${sensor.state}|${sensor.why}|${sensor.interval}`;
    if (one.state !== state) {
      one.state = state;
      one.head.replaceChildren(mark(sensor.state), h("span", { className: "unseen" }, WORDS[sensor.state]));
      put(one.about, `${sensor.driver}, every ${sensor.interval < 1 ? `${Math.round(sensor.interval * 1000)} ms` : length(sensor.interval * 1000)}`);
      put(one.why, sensor.why ?? (sensor.state === "starting" ? "Has not answered yet." : ""));
      one.why.hidden = one.why.textContent === "";
      one.why.className = `why ${CLASSES[sensor.state]}`;
    }
  }
  for (const [name, one] of sensors) {
    if (!pieces.has(`sensor/${name}`)) {
      one.article.remove();
      sensors.delete(name);
    }
  }
  if (moved) $("grid").replaceChildren(...all.map(([name]) => sensors.get(name).article));
  const trouble = all.filter(([, sensor]) => sensor.state === "failed" || sensor.state === "degraded").length;
  put($("count"), all.length === 0 ? "" : `${all.length}` + (trouble ? `, ${trouble} in trouble` : ", all answer"));
  $("filter").hidden = all.length < 7;
  $("trouble-label").hidden = trouble === 0 && !$("trouble").checked;
  filter();
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const onlyTrouble = $("trouble").checked;
  let found = 0;
  for (const [name, one] of sensors) {
    const sensor = pieces.get(`sensor/${name}`);
    const text = `${name} ${sensor.driver} ${one.shape}`.toLowerCase();
    const inTrouble = sensor.state === "failed" || sensor.state === "degraded";
    const fits = words.every((word) => text.includes(word)) && (!onlyTrouble || inTrouble);
    one.article.hidden = !fits;
    if (fits) found += 1;
  }
  $("none").hidden = found > 0 || sensors.size === 0;
}
$("filter").addEventListener("input", filter);
$("trouble").addEventListener("change", showSensors);

// Cards of different heights side by side without holes: each takes as many of the grid's 1 px rows as it is high.
const sizer = new ResizeObserver((entries) => {
  for (const { target, borderBoxSize: [size] } of entries) {
    if (size.blockSize > 0) target.style.gridRowEnd = `span ${Math.ceil(size.blockSize) + 12}`;
  }
});

// ---- sparklines: those on the screen, a few at a time ----

const SPARK_EVERY = 30 * SECOND, SPARKS = 40;
let sparking = false, sparkTimer = null;

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const row = rows.get(entry.target.dataset.key);
    if (row) row.visible = entry.isIntersecting;
  }
  clearTimeout(sparkTimer);
  // Whoever scrolls is not followed row by row.
  sparkTimer = setTimeout(fetchSparks, sparkTimer === null ? 0 : 120);
}, { rootMargin: "200px" });

async function fetchSparks() {
  if (sparking || document.hidden || lostSince !== null) return;
  const due = [...rows].filter(([key, row]) => row.visible && performance.now() - row.sparked > SPARK_EVERY && isNumber(key)).slice(0, SPARKS);
  if (due.length === 0) return;
  sparking = true;
  try {
    const sparks = await ask("/api/sparks", { of: due.map(([key]) => key).join("\n") });
    for (const [key, row] of due) {
      row.sparked = performance.now();
      if (sparks[key]) drawSpark(row.spark, sparks[key]);
    }
  } catch {
    for (const [, row] of due) row.sparked = performance.now();
  }
  sparking = false;
  fetchSparks();
}

function isNumber(key) {
  const kind = pieces.get(`value/${key}`)?.k;
  return kind !== undefined && kind !== "text" && kind !== "image";
}

// ---- one quantity ----

const detail = $("detail");
let opened = null, series = null, reading = false;

function route() {
  const found = location.hash.match(/^#\/([^/]+)\/([^/]+)\/(1h|24h|7d|30d)$/);
  if (!found) {
    if (detail.open) detail.close();
    return;
  }
  let names;
  try {
    names = found.slice(1, 3).map(decodeURIComponent);
  } catch {
    // A link that was cut off within a letter.
    return;
  }
  const [sensor, quantity] = names;
  opened = { sensor, quantity, range: found[3], key: `${sensor}/${quantity}` };
  put($("detail-title"), `${sensor} · ${spoken(quantity)}`);
  detail.querySelector(`input[value="${opened.range}"]`).checked = true;
  $("plot").replaceChildren();
  $("summary").replaceChildren();
  put($("readout"), "");
  reading = false;
  if (!detail.open) detail.showModal();
  showNow();
  fetchSeries();
}

function showNow() {
  if (!opened) return;
  const value = pieces.get(`value/${opened.key}`), sensor = pieces.get(`sensor/${opened.sensor}`);
  if (!value || !sensor) return;
  const [, word] = quality(sensor, value);
  const text = joined(shown(value.v, value.u, value.k)), old = value.t === null ? "" : age(now() - value.t);
  if ($("detail-now").dataset.text === text + old + word) return;
  $("detail-now").dataset.text = text + old + word;
  $("detail-now").replaceChildren(text, " ", h("span", { className: "muted" }, `${old === "now" || !old ? old : `${old} ago`}${word === "good" ? "" : `, ${word}`}`));
}

async function fetchSeries() {
  const wanted = opened, value = pieces.get(`value/${wanted.key}`);
  $("ranges").hidden = value?.k === "text";
  try {
    if (value?.k === "text") {
      const { texts } = await ask("/api/texts", { sensor: wanted.sensor, quantity: wanted.quantity });
      if (opened === wanted) showTexts(texts);
      return;
    }
    const buckets = Math.max(100, Math.min(1000, Math.round($("plot").clientWidth / 1.5)));
    const found = await ask("/api/series", { sensor: wanted.sensor, quantity: wanted.quantity, range: wanted.range, buckets });
    if (opened !== wanted) return;
    series = found;
    series.fetched = performance.now();
    showSeries();
  } catch (error) {
    if (opened === wanted) $("plot").replaceChildren(h("p", { className: "empty" }, error.message));
  }
}

function showTexts(texts) {
  const items = texts.map(({ t, v }) => h("li", {}, h("time", {}, clockTime(t)), h("span", { className: "what" }, v)));
  $("plot").replaceChildren(h("ol", { className: "rows" }, ...items));
}

const GAPS = { stopped: "bridge not running", failed: "sensor did not answer", silent: "no readings came" };

function showSeries() {
  const value = pieces.get(`value/${opened.key}`);
  const kind = value?.k ?? "float";
  const format = (v) => joined(shown(kind === "bool" && v > 0 && v < 1 ? `${Math.round(v * 100)} % on` : v, series.unit, kind));
  let low = Infinity, high = -Infinity, lowAt = 0, highAt = 0;
  series.min.forEach((v, i) => { if (v < low) [low, lowAt] = [v, i]; });
  series.max.forEach((v, i) => { if (v > high) [high, highAt] = [v, i]; });
  const words = { "1h": "the last hour", "24h": "the last 24 hours", "7d": "the last 7 days", "30d": "the last 30 days" }[opened.range];
  const gaps = series.gaps.length === 0 ? "no gaps" : `${series.gaps.length} gap${series.gaps.length === 1 ? "" : "s"}`;
  const label = series.count === 0 ? `No readings in ${words}`
    : `Plot of ${words}: from ${format(low)} to ${format(high)}, ${count(series.count)} readings, ${gaps}. Use the arrow keys for single values.`;
  draw($("plot"), series, {
    label, format, why: (reason) => GAPS[reason] ?? reason,
    show: (i) => {
      // The last word of a plot that is going.
      if (!series) return;
      reading = i !== null;
      put($("readout"), reading ? readout(i, format) : legend());
    },
  });
  if (!reading) put($("readout"), series.count === 0 ? "" : legend());
  const when = (i) => clockTime(series.from + series.first[i], opened.range === "1h");
  const entry = (name, text, more) => h("div", {}, h("dt", {}, name), h("dd", {}, text, more ? h("small", {}, more) : null));
  const entries = series.count === 0 ? [] : [
    entry("lowest", format(low), when(lowAt)),
    entry("average of readings", format(series.average)),
    entry("highest", format(high), when(highAt)),
    entry("readings logged", count(series.count), gaps),
  ];
  $("summary").replaceChildren(...entries);
}

const legend = () => [
  series.width > 0 ? "Line: average. Band: lowest to highest." : "Each reading as it was logged; until the next it is taken to be the same.",
  series.gaps.length > 0 ? "Hatched: nothing is known." : "",
].join(" ");

function readout(i, format) {
  const first = clockTime(series.from + series.first[i]), last = clockTime(series.from + series.last[i]);
  if (first === last && series.min[i] === series.max[i]) return `${first}: ${format(series.mean[i])}`;
  const what = series.min[i] === series.max[i] ? format(series.mean[i])
    : `${format(series.min[i])} to ${format(series.max[i])}, average ${format(series.mean[i])}`;
  return first === last ? `${first}: ${what}` : `${first} – ${last}: ${what}`;
}

$("ranges").addEventListener("change", (event) => {
  location.replace(`#/${encodeURIComponent(opened.sensor)}/${encodeURIComponent(opened.quantity)}/${event.target.value}`);
});
for (const [dialog, close] of [[detail, "detail-close"], [$("viewer"), "viewer-close"]]) {
  $(close).addEventListener("click", () => dialog.close());
  // A click beside it.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
detail.addEventListener("close", () => {
  // It is said a moment later: another plot may be open already.
  if (detail.open) return;
  const key = opened?.key;
  opened = series = null;
  if (location.hash.startsWith("#/")) history.replaceState(null, "", location.pathname);
  rows.get(key)?.button.focus();
});
addEventListener("hashchange", route);
let resizing = null;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => { if (series) showSeries(); }, 150);
});

// ---- mirrored topics, outputs, events ----

const TOPICS = 100;
const topicRows = new Map();

// Value and unit of a message of a bridge's; its text may be cut off.
function ofOurs(text) {
  if (!text.startsWith('{"id":"')) return [null, ""];
  const value = text.match(/"value":(-?[\d.eE+-]+|true|false|"[^"]*")[,}]/)?.[1];
  const unit = text.match(/"unit":"([^"]*)"/)?.[1] ?? "";
  if (value === undefined) return [null, ""];
  return [/^[tf]/.test(value) ? (value === "true" ? "on" : "off") : value.startsWith('"') ? value.slice(1, -1) : Number(value), unit];
}

function showTopics() {
  const mirrors = named("mirror/"), topics = named("topic/").sort(([a], [b]) => a.localeCompare(b));
  $("mirrors").hidden = mirrors.length === 0;
  put($("mirror-state"), mirrors.map(([name, one]) => `${name}: ${one.state === "ok" ? `${count(one.stored)} stored, ${rate(one.rate)}` : one.why ?? WORDS[one.state]}`).join(" · "));
  const order = [];
  for (const [name, topic] of topics.slice(0, TOPICS)) {
    let row = topicRows.get(name);
    if (!row) {
      const cells = ["topic", "num", "num", "message"].map((kind) => h("td", { className: kind }));
      cells[0].textContent = name;
      const code = h("code"), value = h("b");
      cells[3].append(value, code);
      row = { element: h("tr", {}, ...cells), cells, code, value };
      topicRows.set(name, row);
    }
    put(row.cells[1], rate(topic.rate));
    row.t = topic.t;
    const [value, unit] = ofOurs(topic.text);
    put(row.value, value === null ? "" : joined(shown(value, unit)));
    put(row.code, topic.text || (topic.size === 0 ? "(empty)" : `(${bytes(topic.size)}, not text)`));
    order.push(row.element);
  }
  for (const [name] of topicRows) if (!pieces.has(`topic/${name}`)) topicRows.delete(name);
  const body = $("topics");
  if (order.length !== body.children.length || order.some((element, i) => body.children[i] !== element)) body.replaceChildren(...order);
  const rest = topics.length - TOPICS;
  $("topics-more").hidden = rest <= 0;
  put($("topics-more"), `and ${rest} more topics`);
}

function showOutputs() {
  const outputs = named("output/");
  $("outputs").hidden = outputs.length === 0;
  $("output-list").replaceChildren(...outputs.map(([name, output]) =>
    h("li", {}, mark(output.state), h("span", { className: "part" }, name), h("span", { className: "what" }, output.shown ?? WORDS[output.state] ?? ""), switchOf(name, output))));
}

// Only for who has logged in, and only what web.allow names.
function switchOf(name, output) {
  if (!output.may || token === null) return null;
  const set = (level) => setOutput(name, level);
  if (output.digital) {
    const next = output.on ? "off" : "on";
    return h("button", { type: "button", className: "plain", "aria-label": `Switch ${next} ${name}`, onclick: () => set(next) }, `Switch ${next}`);
  }
  const level = h("input", { type: "number", min: 0, max: output.max, step: "any", value: output.level, "aria-label": `Level of ${name} in percent` });
  return h("form", { onsubmit: (event) => { event.preventDefault(); set(level.value); } }, level, " % ", h("button", { className: "plain" }, "Set"));
}

async function setOutput(name, level) {
  let said = "";
  try {
    const answer = await fetch("/output", { method: "POST", headers: { "X-Sensor-Bridge-Token": token }, body: new URLSearchParams({ name, level }) });
    const body = await answer.text();
    if (!answer.ok) said = body.startsWith("{") ? JSON.parse(body).message : body;
  } catch {
    said = "no answer: is the bridge running?";
  }
  put($("output-said"), said);
  $("output-said").hidden = said === "";
}

function showEvents() {
  const events = pieces.get("events") ?? [];
  $("events").hidden = events.length === 0;
  const items = events.slice(0, 50).map((event) =>
    h("li", {}, h("time", {}, clockTime(event.t)), h("span", { className: "part" }, event.part),
      h("span", { className: "what" }, h("span", { className: `mark ${event.warning ? "warn" : "good"}`, "aria-hidden": "true" }, event.warning ? MARKS.warn : MARKS.good), ` ${event.what}`)));
  $("event-list").replaceChildren(...items);
}

// ---- all of it ----

function show(changed) {
  showHead();
  if (changed.has("sensor")) showSensors();
  for (const key of freshValues) showRow(key);
  freshValues.clear();
  if (changed.has("value")) showPictures();
  if (changed.has("topic") || changed.has("mirror")) showTopics();
  if (changed.has("output")) showOutputs();
  if (changed.has("events")) showEvents();
  tick();
}

// What changes because time passes.
function tick() {
  showCards();
  showParts();
  for (const [key, row] of rows) {
    if (!row.visible) continue;
    const value = pieces.get(`value/${key}`), sensor = pieces.get(`sensor/${row.sensor}`);
    if (value && sensor) showAge(row, value, sensor);
  }
  for (const album of albums.values()) showAlbumAge(album);
  for (const row of topicRows.values()) put(row.cells[2], age(now() - row.t));
  showNow();
  if (opened && series && performance.now() - series.fetched > { "1h": 5, "24h": 60, "7d": 300, "30d": 300 }[opened.range] * SECOND && !reading && lostSince === null) {
    series.fetched = performance.now();
    fetchSeries();
  }
}
setInterval(() => { if (!document.hidden) { tick(); fetchSparks(); } }, SECOND);

// What changes must carry; null for who has not logged in.
let token = null;

function start() {
  const here = ["localhost", "127.0.0.1", "[::1]"];
  $("plain").hidden = location.protocol === "https:" || here.includes(location.hostname);
  // What is known already has come with the page.
  const { session, pieces } = JSON.parse($("first").textContent);
  token = session.token;
  $("logout").hidden = token === null;
  $("logout").addEventListener("click", async () => {
    // Nothing is asked for any more that would be refused.
    disconnect();
    sparking = true;
    await fetch("/logout", { method: "POST", headers: { "X-Sensor-Bridge-Token": token } });
    location.assign("/login");
  });
  take(pieces ?? {});
  route();
  afterPaint(connect);
}
start();
