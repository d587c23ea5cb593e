"""The page in a real browser: how it looks, what it says on the console, whom it asks, and whether everybody can
use it (axe-core). `make web-test` installs what this needs and runs it; pictures go to target/web-test.

    check.py BINARY AXE.JS OUTPUT-FOLDER
"""

import html
import os
import subprocess
import sys
import time
import urllib.parse

from browser import Browser
from scene import Scene

PAGE = os.path.join(os.path.dirname(__file__), "../../src/web/page")
SIZES = {"desk": (1280, 900, False), "phone": (390, 844, True)}
AXE = """axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) =>
  `${one.id} (${one.impact}): ${one.help}: ` + one.nodes.slice(0, 3).map((node) => node.target.join(' ')).join(' | ')))"""


def terminal(lines):
    """A terminal's text as SVG; every line has its place, whatever font there is."""
    wide, high = 9, 20
    width = wide * max(len(line) for line in lines) + 40
    rows = "".join(f'<text x="20" y="{34 + high * n}" xml:space="preserve">{html.escape(line)}</text>' for n, line in enumerate(lines))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{high * len(lines) + 40}" font-size="15" '
            f'font-family="ui-monospace, DejaVu Sans Mono, monospace" fill="#e6edf3"><rect width="100%" height="100%" rx="8" fill="#0d1117"/>{rows}</svg>\n')


class Trial:
    def __init__(self, binary, axe, output):
        self.binary, self.output = binary, output
        with open(axe) as file:
            self.axe = file.read()
        self.faults = []
        os.makedirs(output, exist_ok=True)
        self.browser = Browser()
        # The same on every machine.
        self.browser.call("Emulation.setLocaleOverride", locale="en-GB")

    def expect(self, holds, what):
        print(("ok    " if holds else "FAULT ") + what, flush=True)
        if not holds:
            self.faults.append(what)

    def ready(self, url):
        self.browser.go(url)
        self.browser.until("document.querySelectorAll('.quantity .value').length > 5", "the sensors are shown")
        self.browser.until("document.querySelector('.spark path')", "sparklines are drawn")

    def usable_by_all(self, name):
        self.browser.call("Runtime.evaluate", expression=self.axe)
        found = self.browser.run(AXE)
        self.expect(not found, f"{name}: axe finds nothing" + "".join(f"\n        {one}" for one in found))

    def quiet(self, name, url):
        """Nothing on the console, and no request to anybody but the bridge."""
        complaints = sorted(set(self.browser.complaints))
        self.expect(not complaints, f"{name}: nothing on the console" + "".join(f"\n        {one}" for one in complaints[:5]))
        host = urllib.parse.urlparse(url).netloc
        others = {one for one in self.browser.requests if urllib.parse.urlparse(one).netloc not in (host, "")}
        self.expect(not others, f"{name}: nobody else is asked {others or ''}")
        self.browser.complaints.clear()
        self.browser.requests.clear()

    def looks(self, scene):
        for size, (width, height, touch) in SIZES.items():
            for dark in (False, True):
                name = f"{size}-{'dark' if dark else 'light'}"
                self.browser.look_like(width, height, dark, touch)
                self.ready(scene.url)
                time.sleep(1)
                self.browser.picture(f"{self.output}/{name}.png", whole=True)
                wide = self.browser.run("document.documentElement.scrollWidth - innerWidth")
                self.expect(wide <= 0, f"{name}: nothing sticks out to the side ({wide} px)")
                self.usable_by_all(name)
                self.browser.run("location.hash = '#/air/temperature/24h'")
                self.browser.until("document.querySelector('.plot svg polyline')", "the plot is drawn")
                self.usable_by_all(f"{name}, plot")
                self.browser.picture(f"{self.output}/{name}-plot.png")
        self.quiet("all sizes", scene.url)

    def for_readme(self, scene):
        """What README.md shows, when PICTURES names its folder: the page as it opens, and a plot in a terminal."""
        folder = os.environ.get("PICTURES")
        if not folder:
            return
        self.browser.look_like(1280, 800, False)
        self.ready(scene.url)
        time.sleep(1)
        self.browser.picture(f"{folder}/page.png")
        command = ["plot", "air.temperature", "--since", "24h", "--width", "88", "--height", "12", "--style", "braille"]
        text = subprocess.run([self.binary, *command, "--config", scene.config], capture_output=True, text=True, check=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}).stdout
        with open(f"{folder}/terminal.svg", "w") as file:
            file.write(terminal(["$ sensor-bridge " + " ".join(command[:4]), *text.splitlines()]))

    def plots(self, scene):
        browser = self.browser
        browser.look_like(1280, 900, False)
        self.ready(scene.url)
        for word in ("1h", "24h", "7d", "30d"):
            browser.run(f"location.hash = '#/air/temperature/{word}'")
            browser.until(f"document.querySelector('.plot svg')?.getAttribute('aria-label').includes({{'1h': 'hour', '24h': '24 hours', '7d': '7 days', '30d': '30 days'}}['{word}'])", word)
            time.sleep(0.3)
            browser.picture(f"{self.output}/plot-{word}.png")
        label = browser.run("document.querySelector('.plot svg').getAttribute('aria-label')")
        self.expect("38.4" in label, f"the spike of a few seconds is in thirty days: {label}")
        self.expect("2 gaps" in label or "3 gaps" in label, "gaps are gaps")
        browser.run("document.querySelector('.plot svg').focus()")
        browser.press("ArrowLeft")
        said = browser.run("document.getElementById('readout').textContent")
        self.expect("°C" in said, f"the keys read single values: {said}")
        browser.press("Escape")
        browser.until("!document.getElementById('detail').open", "Escape closes")
        browser.until("document.activeElement.dataset.key === 'air/temperature'", "the focus goes back to where it was")
        browser.press("Enter")
        browser.until("document.getElementById('detail').open", "Enter opens it again")
        browser.press("Escape")
        browser.run("document.querySelector('.strip button').click()")
        browser.until("document.getElementById('viewer-image').naturalWidth > 600", "a picture opens")
        self.usable_by_all("picture")
        browser.picture(f"{self.output}/picture.png")
        browser.press("Escape")
        browser.run("const line = document.querySelector('.timeline input'); line.value = Number(line.min) + 7.5 * 3600e3; line.dispatchEvent(new Event('change'))")
        browser.until("document.querySelectorAll('.strip button').length === 8", "the time line leads to the pictures of then")
        browser.picture(f"{self.output}/time-line.png", whole=True)
        text = browser.run("document.getElementById('topics').textContent")
        self.expect("<b>Höchstwert</b>" in text, "a message of others is a text, whatever is in it")
        self.quiet("plots", scene.url)

    def speed(self, scene):
        self.browser.look_like(1280, 900, False)
        took = []
        for _ in range(7):
            self.browser.go(scene.url)
            took.append(self.browser.run("Math.round(performance.getEntriesByType('navigation')[0].loadEventEnd)"))
        print(f"      opens in {sorted(took)[3]} ms (of {sorted(took)})")
        asked = self.browser.run("performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname).filter((path) => !path.startsWith('/picture/'))")
        self.expect(len(asked) < 6, f"few requests beside the thumbnails on the screen: {asked}")

    def words(self, scene):
        """What cannot be arranged within a minute: functions of the page's script, asked by themselves."""
        browser = self.browser
        browser.go(scene.url)
        script = "".join(open(os.path.join(PAGE, name)).read() for name in ("words.js", "plot.js"))
        says = lambda expression: browser.run(f"(() => {{ {script}\nreturn {expression}; }})()")
        half = says("shown('50 % on', '', 'bool')")
        self.expect(half == ["50 % on", ""], f"a switch that was on half of the time was not off: {half}")
        browser.call("Emulation.setTimezoneOverride", timezoneId="Europe/Berlin")
        for begin, end, days in (
            ("2026-03-26T12:00Z", "2026-03-31T12:00Z", [27, 28, 29, 30, 31]),
            ("2026-10-23T12:00Z", "2026-10-28T12:00Z", [24, 25, 26, 27, 28]),
        ):
            ticks = says(f"timeTicks(Date.parse('{begin}'), Date.parse('{end}'), 8)")
            found = [int(label.split()[0]) for _, label in ticks]
            at_midnight = browser.run(f"{[at for at, _ in ticks]}.every((t) => new Date(t).getHours() === 0)")
            self.expect(found == days and at_midnight, f"days begin at midnight when the clocks change: {found}")
        browser.call("Emulation.setTimezoneOverride", timezoneId="")

    def lost_and_found(self, scene):
        self.browser.look_like(1280, 900, False)
        self.ready(scene.url)
        # As when another tab is in front of it.
        self.browser.run("dispatchEvent(new Event('pagehide'))")
        scene.without("light")
        self.browser.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        self.browser.until("!document.querySelector('[aria-label=\"Sensor light\"]')", "a sensor that was taken away meanwhile is gone")
        left = self.browser.run("document.getElementById('count').textContent")
        self.expect(left.startswith("5"), f"and the others are there: {left}")
        scene.stop_bridge()
        self.browser.until("!document.getElementById('lost').hidden", "it says that the bridge is away")
        self.browser.picture(f"{self.output}/lost.png")
        self.browser.complaints.clear()
        self.browser.requests.clear()

    def many(self):
        scene = Scene(self.binary, sensors=200, history=False)
        try:
            self.browser.look_like(1280, 900, False)
            self.browser.go(scene.url)
            self.browser.until("document.querySelectorAll('.sensor').length >= 206", "200 sensors are shown")
            self.browser.until("document.querySelector('.spark path')", "sparklines are drawn")
            time.sleep(3)
            self.browser.run("new Promise((done) => { window.long = 0; new PerformanceObserver((list) => { for (const one of list.getEntries()) long += one.duration; }).observe({type: 'longtask'}); setTimeout(done, 5000); })")
            busy = self.browser.run("long")
            self.expect(busy < 1500, f"200 sensors, each new every second: {busy:.0f} ms of five seconds in long tasks")
            self.browser.picture(f"{self.output}/many.png")
            self.browser.run("document.getElementById('filter').value = 's17'; document.getElementById('filter').dispatchEvent(new Event('input'))")
            left = self.browser.run("document.querySelectorAll('.sensor:not([hidden])').length")
            self.expect(left == 10, f"the filter leaves ten of them ({left})")
            self.usable_by_all("200 sensors")
            self.quiet("200 sensors", scene.url)
        finally:
            self.browser.go("about:blank")
            scene.close()

    def password(self):
        scene = Scene(self.binary, password="correct horse", history=False)
        browser = self.browser
        try:
            browser.complaints.clear()
            browser.requests.clear()
            browser.look_like(390, 844, False, True)
            browser.go(scene.url)
            browser.until("location.pathname === '/login'", "the password is asked for")
            self.usable_by_all("login")
            browser.run("document.getElementById('password').value = 'wrong password'; document.querySelector('form').requestSubmit()")
            browser.until("document.getElementById('wrong')?.textContent.includes('not the password')", "a wrong one is told of")
            browser.picture(f"{self.output}/login.png")
            browser.run("document.getElementById('password').value = 'correct horse'; document.querySelector('form').requestSubmit()")
            browser.until("location.pathname === '/' && document.querySelector('.quantity')", "the right one opens")
            browser.until("!document.getElementById('logout').hidden", "there is a way out")
            browser.until("document.querySelector('#output-list button')?.textContent === 'Switch on'", "the fan can be switched")
            self.expect(browser.run("document.querySelectorAll('#output-list button').length") == 1, "and nothing that is not named")
            browser.run("document.querySelector('#output-list button').click()")
            browser.until("document.querySelector('#output-list button')?.textContent === 'Switch off'", "it is on")
            self.usable_by_all("outputs")
            browser.picture(f"{self.output}/outputs.png", whole=True)
            cookies = browser.call("Network.getCookies")["cookies"]
            self.expect(all(one["httpOnly"] and one["sameSite"] == "Strict" for one in cookies) and cookies, "the cookie is not for scripts")
            browser.run("document.getElementById('logout').click()")
            browser.until("location.pathname === '/login'", "it leads out")
            browser.go(scene.url)
            browser.until("location.pathname === '/login'", "and the way in is closed")
            self.quiet("login", scene.url)
        finally:
            scene.close()

    def run(self):
        scene = Scene(self.binary)
        scene.publish()
        try:
            self.looks(scene)
            self.for_readme(scene)
            self.plots(scene)
            self.words(scene)
            self.speed(scene)
            self.lost_and_found(scene)
        finally:
            scene.close()
        self.many()
        self.password()


if __name__ == "__main__":
    trial = Trial(*sys.argv[1:4])
    try:
        trial.run()
    finally:
        trial.browser.close()
    print(f"\npictures: {trial.output}")
    if trial.faults:
        sys.exit(f"{len(trial.faults)} faults")
