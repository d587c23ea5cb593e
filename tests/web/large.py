"""How soon the page opens and draws: with an empty log, and with ten million readings of 200 sensors, beside what the
same browser needs for the same page from a server that only has files, and for a page with nothing in it.
`make web-test-large` runs it with the binary that is shipped; pictures and figures go to target/web-test.

    large.py BINARY OUTPUT-FOLDER [READINGS]        without the large log for 0

A time tells of the machine and of what else it does: targets are said to be met or not, and fail nothing. What is held
to is what tells of the page: requests, bytes, time on the processor, and how it does beside the others in the same run.
"""

import functools
import http.server
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from browser import Browser
from scene import Scene

RANGES = {"1h": "last hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}

# When there is a value to read, and a sparkline, on the screen. It runs before the page's own scripts.
WATCH = """
window.seen = {};
const note = (name) => { if (!(name in seen)) { seen[name] = 0; requestAnimationFrame(() => setTimeout(() => { seen[name] = performance.now(); })); } };
new MutationObserver(() => {
  if (!seen.value && [...document.querySelectorAll('.quantity .value')].some((one) => /[0-9]/.test(one.textContent))) note('value');
  if (!seen.spark && document.querySelector('.spark path')) note('spark');
}).observe(document, {childList: true, subtree: true, characterData: true});
new PerformanceObserver((list) => { seen.paint = list.getEntriesByName('first-contentful-paint')[0]?.startTime; }).observe({type: 'paint', buffered: true});
window.busy = 0;
new PerformanceObserver((list) => { for (const one of list.getEntries()) busy += one.duration; }).observe({type: 'longtask', buffered: true});
"""

TIMES = """(() => {
  const [page] = performance.getEntriesByType('navigation');
  const all = [page, ...performance.getEntriesByType('resource')];
  return {
    dom: page.domContentLoadedEventEnd, load: page.loadEventEnd, ...seen,
    bytes: all.reduce((sum, one) => sum + one.encodedBodySize, 0),
    asked: all.map((one) => [new URL(one.name).pathname, one.encodedBodySize, one.responseStart - one.requestStart]),
  };
})()"""

# From the click to the picture on the screen.
DRAWN = """new Promise((done, fail) => {
  setTimeout(() => fail('no plot: ' + document.getElementById('plot').textContent), 60000);
  const begun = performance.now(), box = document.getElementById('plot');
  const look = () => {
    if (!box.querySelector('svg')?.getAttribute('aria-label').includes('%s')) return false;
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
    return true;
  };
  const watch = new MutationObserver(() => { if (look()) watch.disconnect(); });
  watch.observe(box, {childList: true, subtree: true});
  location.hash = '#/%s/value/%s';
})"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


class Files:
    """The page as it was at some time from Python's own server, and a page with nothing in it."""

    def __init__(self, url):
        self.folder = tempfile.TemporaryDirectory(prefix="sensor-bridge-files-")
        for path, name in (("/", "index.html"), ("/icon.svg", "icon.svg")):
            with urllib.request.urlopen(url + path) as source, open(f"{self.folder.name}/{name}", "wb") as copy:
                copy.write(source.read())
        with open(f"{self.folder.name}/nothing.html", "w") as file:
            file.write("<!doctype html><html lang=en><title>nothing</title><link rel=icon href='data:,'><p>nothing</p></html>\n")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=self.folder.name))
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.folder.cleanup()


class Trial:
    def __init__(self, binary, output, readings):
        self.binary, self.output, self.readings = binary, output, readings
        self.faults, self.lines = [], []
        os.makedirs(output, exist_ok=True)
        self.browser = Browser()
        self.browser.call("Emulation.setLocaleOverride", locale="en-GB")
        self.browser.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        # Of the page's thread, its time on the processor: what else the machine does is not in it.
        self.browser.call("Performance.enable", timeDomain="threadTicks")
        self.browser.look_like(1280, 900, False)

    def say(self, line):
        print(line, flush=True)
        self.lines.append(line)

    def expect(self, holds, what):
        self.say(("ok    " if holds else "FAULT ") + what)
        if not holds:
            self.faults.append(what)

    def target(self, ms, most, what):
        self.say(f"      {what}: {ms:.0f} ms; target <= {most} ms: {'ok' if ms <= most else 'MISSED'}")

    def opened(self, url, done, first):
        """What the browser measured of one opening; `first` without anything kept from before."""
        self.browser.call("Network.setCacheDisabled", cacheDisabled=first)
        self.browser.go(url)
        self.browser.until(f"seen.paint && {done}", f"{url} shows what it has", 60)
        metrics = {one["name"]: one["value"] for one in self.browser.call("Performance.getMetrics")["metrics"]}
        return self.browser.run(TIMES) | {"work": metrics["TaskDuration"] * 1000, "script": metrics["ScriptDuration"] * 1000}

    def median(self, url, done="true", times=9, first=True):
        all_ = [self.opened(url, done, first) for _ in range(times)]
        middle = {name: statistics.median(one.get(name) or 0 for one in all_) for name in ("dom", "paint", "value", "spark", "bytes", "work", "script")}
        served = {}
        for one in all_:
            for path, size, took in one["asked"]:
                served.setdefault(path, []).append((size, took))
        middle["served"] = {path: (rows[0][0], statistics.median(took for _, took in rows)) for path, rows in served.items()}
        return middle

    def floor(self, url):
        files = Files(url)
        try:
            self.nothing = self.median(files.url + "nothing.html")
            self.files = self.median(files.url, "seen.value")
        finally:
            # Its requests for data are answered by nobody.
            self.browser.go("about:blank")
            files.close()
        self.browser.complaints.clear()
        self.browser.requests.clear()
        self.say("opening, ms (median of 9)               first paint  DOM ready  first value  sparklines  processor (scripts)")
        self.row("a page with nothing in it", self.nothing)
        self.row("the same page from http.server", self.files)

    def row(self, name, one):
        cells = "".join(f"{one[key]:{width}.0f}" if one[key] else f"{'-':>{width}}" for key, width in (("paint", 11), ("dom", 11), ("value", 13), ("spark", 12)))
        self.say(f"  {name:38}{cells}{one['work']:11.0f} {'(%.0f)' % one['script']:>9}")

    def opening(self, name, scene):
        done = "seen.value && seen.spark"
        first, again = self.median(scene.url, done), self.median(scene.url, done, first=False)
        self.row(name, first)
        self.row(f"{name}, again", again)
        return first

    def drawing(self, name, scene):
        self.opened(scene.url, "seen.value", True)
        took = {}
        for word, label in RANGES.items():
            times = []
            for number in range(5):
                # Sensors nobody has asked for: nothing of them is in any cache.
                sensor = f"s{(number * 37 + 11 * len(took)) % 200:03}"
                times.append(self.browser.run(DRAWN % (label, sensor, word)))
                if number == 0:
                    time.sleep(0.3)
                    self.browser.picture(f"{self.output}/{name}-{word}.png")
                self.browser.press("Escape")
                self.browser.until("!document.getElementById('detail').open && location.hash === ''", "it closes")
            took[word] = statistics.median(times)
        self.say(f"  plots, from click to screen, ms: " + ", ".join(f"{word} {ms:.0f}" for word, ms in took.items()))
        return took

    def quiet(self, name, scene):
        complaints = sorted(set(self.browser.complaints))
        self.expect(not complaints, f"{name}: nothing on the console" + "".join(f"\n        {one}" for one in complaints[:5]))
        host = urllib.parse.urlparse(scene.url).netloc
        others = {one for one in self.browser.requests if urllib.parse.urlparse(one).netloc not in (host, "")}
        self.expect(not others, f"{name}: nobody else is asked {others or ''}")
        self.browser.complaints.clear()
        self.browser.requests.clear()

    def small(self):
        """The bridge as most have it: six sensors, nothing in the log yet."""
        scene = Scene(self.binary, history=False)
        try:
            scene.wait(r"sensor sky: ok")
            self.floor(scene.url)
            before = scene.processor()
            opened = self.opening("6 sensors, empty log", scene)
            # Nine times afresh and nine times again.
            spent = (scene.processor() - before) / 18
            self.quiet("6 sensors", scene)
        finally:
            self.browser.go("about:blank")
            scene.close()
        self.say("  asked for                 bytes   the server takes, ms")
        for path, (size, took) in opened["served"].items():
            self.say(f"    {path:20} {size:10}   {took:10.1f}")
        self.say(f"  {len(opened['served'])} requests and a stream, {opened['bytes']:.0f} bytes; the first value takes {opened['value'] / self.files['value']:.2f} times "
                 f"as long as from http.server, and {opened['value'] / self.nothing['paint']:.2f} times as long as the first paint of nothing")
        self.say(f"  on the processor: the page's thread {opened['work']:.0f} ms (of an empty page {self.nothing['work']:.0f}), the daemon {spent:.1f} ms "
                 "for each opening, its sensors included")
        self.expect(len(opened["served"]) <= 6, "few requests")
        self.expect(opened["bytes"] < 90_000, "few bytes")
        self.expect(opened["value"] < 2 * self.files["value"], "there as soon as the same page from a server of files")
        self.expect(opened["work"] - self.nothing["work"] < 150, "little to do for the browser")
        self.target(opened["dom"], 100, "DOM ready")
        self.target(opened["value"], 100, "the first value on the screen")

    def many(self, readings):
        name = f"200 sensors, {'empty log' if not readings else f'{readings:,} readings'}"
        begun = time.monotonic()
        scene = Scene(self.binary, sensors=200, history=False, readings=readings)
        try:
            self.browser.complaints.clear()
            if readings:
                self.say(f"  a log of {os.path.getsize(f'{scene.folder}/bridge.db') / 1e6:.0f} MB, made in {time.monotonic() - begun:.0f} s")
                # As after an upgrade: nothing is rolled up yet.
                self.opened(scene.url, "seen.value", True)
                sensor = iter(range(90, 99))
                self.say("  plots before it is rolled up, ms: " + ", ".join(
                    f"{word} {self.browser.run(DRAWN % (label, f's{next(sensor):03}', word)):.0f}" for word, label in RANGES.items()))
                self.browser.go("about:blank")
                begun = time.monotonic()
                while scene.not_rolled_up() > 100_000:
                    assert time.monotonic() < begun + 900, "it is not rolled up"
                    time.sleep(0.5)
            opened, drawn = self.opening(name, scene), self.drawing(f"{'large' if readings else 'empty'}", scene)
            self.browser.picture(f"{self.output}/{'large' if readings else 'empty'}.png")
            self.browser.run("new Promise((done) => { busy = 0; setTimeout(done, 5000); })")
            busy = self.browser.run("busy")
            self.expect(busy < 1500, f"{name}, each new every second: {busy:.0f} ms of five seconds in long tasks")
            self.quiet(name, scene)
            return opened, drawn
        finally:
            self.browser.go("about:blank")
            scene.close()

    def run(self):
        self.small()
        if not self.readings:
            return
        empty, large = self.many(0), self.many(self.readings)
        self.expect(large[0]["value"] < 2 * empty[0]["value"], "ten million readings do not keep the page from opening")
        self.expect(large[0]["work"] < 2 * empty[0]["work"], "nor are they more work for the browser")
        for word, ms in large[1].items():
            self.target(ms, 300, f"a plot over {word}")


if __name__ == "__main__":
    trial = Trial(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 10_000_000)
    try:
        trial.run()
    finally:
        trial.browser.close()
        with open(f"{trial.output}/large.txt", "w") as file:
            file.write("\n".join(trial.lines) + "\n")
    if trial.faults:
        sys.exit(f"{len(trial.faults)} faults")
