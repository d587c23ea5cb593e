// Numbers, times and units as people read them.

// What writes numbers and times takes longer to make than to use, so as few as do are made, and once.
const numerals = new Map(), clocks = new Map();

// At most so many digits behind the point, and at least so many.
function numeral(value, most, least = 0) {
  let writer = numerals.get(least);
  if (!writer) numerals.set(least, (writer = new Intl.NumberFormat([], { minimumFractionDigits: least, maximumFractionDigits: 9 })));
  // Plus 0: without it, -0.
  return writer.format(Number(value.toFixed(most)) + 0);
}

// `options` as for Intl.DateTimeFormat; always the same object for the same.
function moment(t, options) {
  let writer = clocks.get(options);
  if (!writer) clocks.set(options, (writer = new Intl.DateTimeFormat([], options)));
  return writer.format(t);
}

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

function age(ms) {
  if (ms < 1.5 * SECOND) return "now";
  if (ms < 100 * SECOND) return `${Math.round(ms / SECOND)} s`;
  if (ms < 100 * MINUTE) return `${Math.round(ms / MINUTE)} min`;
  if (ms < 48 * HOUR) return `${Math.round(ms / HOUR)} h`;
  return `${Math.round(ms / DAY)} d`;
}

function length(ms) {
  if (ms < 100 * SECOND) return `${Math.max(0, Math.round(ms / SECOND))} s`;
  if (ms < HOUR) return `${Math.round(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${Math.floor((ms % HOUR) / MINUTE)} min`;
  return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`;
}

function scaled(value, factor, names) {
  let place = 0;
  while (Math.abs(value) >= factor && place < names.length - 1) {
    value /= factor;
    place += 1;
  }
  const digits = place === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return [numeral(value, digits), names[place]];
}

const bytes = (value) => scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"]).join(" ");
const count = (value) => numeral(value, 0);

function rate(perSecond) {
  if (perSecond >= 0.95) return `${numeral(perSecond, perSecond < 10 ? 1 : 0)}/s`;
  if (perSecond * 60 >= 0.95) return `${numeral(perSecond * 60, 0)}/min`;
  return perSecond > 0.0003 ? `${Math.round(perSecond * 3600)}/h` : "–";
}

// A value as [number, unit].
function shown(value, unit, kind) {
  if (value === null || value === undefined) return ["–", ""];
  // A text says itself how much of the time it was on.
  if (kind === "bool" && typeof value !== "string") return [value === true || value === 1 ? "on" : "off", unit];
  if (kind === "image" || unit === "B") return scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"]);
  if (unit === "B/s") return scaled(value, 1000, ["B/s", "kB/s", "MB/s", "GB/s"]);
  if (typeof value !== "number") return [String(value), unit];
  if (unit === "s" && Math.abs(value) >= 300) return [length(value * 1000), ""];
  const size = Math.abs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-4)) return [value.toPrecision(4), unit];
  const digits = Number.isInteger(value) ? 0 : size >= 1000 ? 1 : size >= 100 ? 2 : size >= 1 ? 3 : 4;
  return [numeral(value, digits), unit];
}

// `memory_available` for people; the name as it is stands in the topics.
const spoken = (name) => name.replaceAll("_", " ");

const joined = ([number, unit]) => (unit ? `${number} ${unit}` : number);

const DATE = { day: "numeric", month: "short" }, HOURS = { hour: "2-digit", minute: "2-digit" };
const SECONDS = { ...HOURS, second: "2-digit" }, THEN = { ...DATE, ...HOURS }, THEN_SECONDS = { ...DATE, ...SECONDS };
const SINCE = { ...DATE, year: "numeric" }, DAY_OF_WEEK = { ...DATE, weekday: "short" };

function clockTime(t, seconds = true) {
  const today = new Date(t).toDateString() === new Date(now()).toDateString();
  return moment(t, today ? (seconds ? SECONDS : HOURS) : seconds ? THEN_SECONDS : THEN);
}
