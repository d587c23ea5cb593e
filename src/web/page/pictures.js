// Pictures as strips of thumbnails with a time line, and one of them in large.

const albums = new Map();
let viewed = null;

function showPictures() {
  for (const [key, value] of named("value/")) {
    if (value.k !== "image") continue;
    let album = albums.get(key);
    if (!album) {
      const [sensor, quantity] = key.split("/");
      const strip = h("ol", { className: "strip", "aria-label": `Pictures of ${sensor}, newest first` });
      const about = h("span", { className: "muted" });
      const line = h("input", { type: "range", step: "any", "aria-label": `Time line of ${sensor}: go to` });
      const from = h("time"), at = h("time");
      const timeline = h("div", { className: "timeline", hidden: true }, from, line, at);
      const box = h("div", { className: "album" }, h("div", { className: "bar" }, h("h3", {}, sensor), about), strip, timeline);
      album = { sensor, quantity, box, strip, about, timeline, line, from, at, pictures: [], newest: null, isPast: false, more: true, busy: false, t: undefined };
      albums.set(key, album);
      $("albums").append(box);
      line.addEventListener("input", () => showTimeline(album));
      line.addEventListener("change", () => goTo(album));
      strip.addEventListener("scroll", () => {
        if (strip.scrollLeft + strip.clientWidth > strip.scrollWidth - 400) older(album);
      });
    }
    if (album.t !== value.t) {
      album.t = value.t;
      afterPaint(() => newer(album));
    }
  }
  for (const [key, album] of albums) {
    if (pieces.has(`value/${key}`)) continue;
    album.box.remove();
    albums.delete(key);
  }
  $("pictures").hidden = albums.size === 0;
}

async function newer(album) {
  if (album.busy) {
    album.t = undefined;
    return;
  }
  album.busy = true;
  try {
    const { pictures, oldest } = await ask("/api/pictures", { sensor: album.sensor, quantity: album.quantity });
    album.newest = pictures[0];
    const known = album.pictures[0]?.row ?? 0;
    // Whoever looks at the past stays there.
    const fresh = album.isPast ? [] : pictures.filter((one) => one.row > known);
    // More came than are told of at once: there are others between them and those that are known.
    if (fresh.length > 0 && fresh.length === pictures.length) {
      album.pictures = [];
      album.more = true;
    }
    album.pictures = [...fresh, ...album.pictures];
    if (fresh.length > 0) showStrip(album);
    if (pictures.length > 0) {
      album.timeline.hidden = pictures[0].t - oldest < HOUR;
      [album.line.min, album.line.max] = [oldest, pictures[0].t];
      if (!album.isPast) album.line.value = pictures[0].t;
      showTimeline(album);
    }
  } catch {
    // The next look tries again.
    album.t = undefined;
  }
  album.busy = false;
}

function showTimeline(album) {
  const t = Number(album.line.value);
  put(album.from, clockTime(Number(album.line.min), false));
  put(album.at, clockTime(t, false));
  album.line.setAttribute("aria-valuetext", clockTime(t, false));
}

// To the pictures up to the time on the time line; at its end to the newest.
async function goTo(album) {
  const until = Math.round(Number(album.line.value));
  try {
    const { pictures } = await ask("/api/pictures", { sensor: album.sensor, quantity: album.quantity, until });
    album.isPast = until < Number(album.line.max);
    album.pictures = pictures;
    album.more = true;
    showStrip(album);
    showTimeline(album);
    album.strip.scrollLeft = 0;
  } catch { /* It can be moved again. */ }
}

async function older(album) {
  if (album.busy || !album.more || album.pictures.length === 0) return;
  album.busy = true;
  try {
    const { pictures } = await ask("/api/pictures", { sensor: album.sensor, quantity: album.quantity, before: album.pictures.at(-1).row });
    album.more = pictures.length > 0;
    album.pictures.push(...pictures);
    if (pictures.length > 0) showStrip(album);
  } catch { /* Scrolling on tries again. */ }
  album.busy = false;
}

function showStrip(album) {
  const items = [];
  let day = null;
  for (const picture of album.pictures) {
    const its = new Date(picture.t).toDateString();
    if (its !== day) {
      day = its;
      items.push(h("li", { className: "day" }, moment(picture.t, DAY_OF_WEEK)));
    }
    album.items ??= new Map();
    let item = album.items.get(picture.row);
    if (!item) {
      const time = moment(picture.t, HOURS);
      const width = Math.round(Math.min(240, Math.max(80, (108 * picture.w) / picture.h)));
      const image = h("img", { src: `/picture/${picture.row}?small`, alt: "", loading: "lazy", width, height: 108 });
      const button = h("button", { type: "button", "aria-label": `Picture of ${clockTime(picture.t)}` }, image, h("time", {}, time));
      button.addEventListener("click", () => view(album, picture.row));
      item = h("li", {}, button);
      album.items.set(picture.row, item);
    }
    items.push(item);
  }
  album.strip.replaceChildren(...items);
}

function showAlbumAge(album) {
  const newest = album.newest;
  const old = newest && age(now() - newest.t);
  put(album.about, !newest ? "no pictures yet" : old === "now" ? "the last one just now" : `the last one ${old} ago`);
}

function view(album, row) {
  const place = placeOf(album, row);
  const picture = album.pictures[place];
  if (!picture) return;
  viewed = { album, row };
  put($("viewer-title"), `${album.sensor} · ${clockTime(picture.t)}`);
  $("viewer-image").src = `/picture/${picture.row}`;
  $("viewer-image").alt = `Picture of ${album.sensor}, taken ${clockTime(picture.t)}`;
  put($("viewer-about"), `${picture.w} × ${picture.h}, ${bytes(picture.size)}`);
  $("newer").disabled = place === 0;
  $("older").disabled = place === album.pictures.length - 1;
  if (place > album.pictures.length - 5) older(album).then(() => { $("older").disabled = placeOf(viewed.album, viewed.row) >= viewed.album.pictures.length - 1; });
  if (!$("viewer").open) $("viewer").showModal();
}

// Newer ones come in front of it while it is looked at.
const placeOf = (album, row) => album.pictures.findIndex((one) => one.row === row);
const turn = (by) => { if (viewed) view(viewed.album, viewed.album.pictures[placeOf(viewed.album, viewed.row) + by]?.row); };
$("older").addEventListener("click", () => turn(1));
$("newer").addEventListener("click", () => turn(-1));
$("viewer").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") turn(1);
  if (event.key === "ArrowRight") turn(-1);
});
