"""A bridge worth looking at: sensors with a past, a camera, mirrored topics, one sensor that does not answer.

Everything lives in a temporary folder and on ports of the loopback that nobody else uses.
"""

import math
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import zlib

HOUR, DAY = 3_600_000_000, 86_400_000_000


def png(path, hour):
    """A sky over a hill, as it looks at that hour: 640 by 360."""
    width, height = 640, 360
    day = max(0.0, math.sin((hour - 6) / 12 * math.pi)) if 6 <= hour <= 18 else 0.0
    dusk = max(0.0, 1 - abs(hour - 18) / 2, 1 - abs(hour - 6) / 2)
    rows = []
    for y in range(height):
        f = y / height
        sky = [20 + 90 * day + 40 * f * day + 150 * dusk * f, 28 + 140 * day + 30 * f * day + 60 * dusk * f, 55 + 175 * day - 30 * f * dusk]
        row = bytearray()
        for x in range(0, width, 8):
            hill = 0.72 - 0.12 * math.sin(x / 140) - 0.04 * math.sin(x / 40 + 2)
            colour = sky if f < hill else [12 + 40 * day, 24 + 80 * day, 16 + 30 * day]
            row += bytes(min(255, max(0, int(one))) for one in colour) * 8
        rows.append(b"\0" + bytes(row))
    chunk = lambda kind, data: struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(b"".join(rows), 6)) + chunk(b"IEND", b""))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


CONFIG = """\
device: {{ id: greenhouse-pi, location: {{ name: "Greenhouse 2, east bench" }} }}
log: {{ path: {folder}/bridge.db }}
mqtt: {{ url: "mqtt://127.0.0.1:{broker}", topic: "castel/{{device}}/{{sensor}}/{{quantity}}" }}
web: {{ listen: "{listen}"{password} }}
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}
  - {{ id: valve, driver: pca9685, bus: sim-1, address: 0x41, channel: 3 }}
mirror:
  - {{ id: everything, topics: ["castel/#", "weather/#"], to: sqlite }}
sensors:
  - id: air
    driver: bme280
    bus: sim-1
    address: 0x76
    interval: 1s
    simulate: {{ temperature: {{ sine: {{ min: 18, max: 26, period: 5m }} }} }}
    quantities:
      temperature: {{ change: 0.1, round: 2, heartbeat: 10m }}
      humidity: {{ change: 1%, round: 1, heartbeat: 10m }}
      pressure: {{ change: 0.2, round: 1, heartbeat: 10m }}
  - {{ id: light, driver: bh1750, bus: sim-1, interval: 2s }}
  - {{ id: soil-north-bed, driver: ads1115, bus: sim-1, address: 0x48, channels: [a0, a1], interval: 2s }}
  - {{ id: attic, driver: bme280, bus: sim-1, address: 0x77, simulate: {{ fault: {{ kind: nack }} }} }}
  - {{ id: host, driver: host, interval: 5s }}
  - {{ id: sky, driver: camera, command: ["cat", "{folder}/now.png"], interval: 15m }}
{more}"""


class Scene:
    def __init__(self, binary, sensors=0, password=None, history=True, readings=0):
        self.folder = tempfile.mkdtemp(prefix="sensor-bridge-web-")
        self.binary, self.children = binary, []
        self.broker = free_port()
        with open(f"{self.folder}/mosquitto.conf", "w") as file:
            file.write(f"listener {self.broker} 127.0.0.1\nallow_anonymous true\n")
        mosquitto = next(path for path in ("/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto") if os.path.exists(path))
        self.start([mosquitto, "-c", f"{self.folder}/mosquitto.conf"], "mosquitto")
        png(f"{self.folder}/now.png", 14)
        more = "".join(
            f"  - {{ id: s{n:03}, driver: sim, scenario: random-walk, interval: 1s, quantities: {{ value: {{ change: always }} }} }}\n"
            for n in range(sensors))
        listen, lines = "127.0.0.1:0", ""
        if password:
            listen = "0.0.0.0:0"
            with open(f"{self.folder}/web.password", "w") as file:
                file.write(password)
            os.chmod(f"{self.folder}/web.password", 0o600)
            lines = ", password_file: web.password, allow: [fan]"
        self.config = f"{self.folder}/config.yaml"
        with open(self.config, "w") as file:
            file.write(CONFIG.format(folder=self.folder, broker=self.broker, listen=listen, password=lines, more=more))
        if history or readings:
            self.bridge()
            self.wait(r"sensor sky: ok")
            time.sleep(1)
            self.stop_bridge()
        if history:
            self.fill()
        if readings:
            self.fill_millions(readings)
        self.bridge()
        port = self.wait(r"web: http://[^ ]*:(\d+)/").group(1)
        self.url = f"http://127.0.0.1:{port}"

    def start(self, command, name):
        log = open(f"{self.folder}/{name}.log", "a")
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        self.children.append(child)
        return child

    def bridge(self):
        open(f"{self.folder}/bridge.log", "w").close()
        self.daemon = self.start([self.binary, "run", "--config", self.config], "bridge")

    def without(self, sensor):
        """Takes a sensor, which has one line, out of the running bridge."""
        with open(self.config) as file:
            lines = [line for line in file if f"id: {sensor}," not in line]
        with open(self.config, "w") as file:
            file.writelines(lines)
        self.daemon.send_signal(signal.SIGHUP)
        self.wait(f"sensor {sensor} removed")

    def stop_bridge(self):
        self.daemon.terminate()
        self.daemon.wait(20)

    def wait(self, pattern, seconds=30):
        end = time.monotonic() + seconds
        while True:
            with open(f"{self.folder}/bridge.log") as file:
                text = file.read()
            if found := re.search(pattern, text):
                return found
            assert time.monotonic() < end and self.daemon.poll() is None, f"not said: {pattern}\n{text[-3000:]}"
            time.sleep(0.05)

    def publish(self):
        """Messages of others, for the mirror."""
        for topic, text in (
            ("weather/station-7/wind", '{"speed": 4.2, "gust": 7.9, "unit": "m/s", "direction": 245}'),
            ("weather/station-7/rain", "0.2"),
            ("weather/forecast", "Sunny spells, later cloud from the west. Light winds. <b>Höchstwert</b> 11 °C. " * 4),
        ):
            subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.broker), "-t", topic, "-m", text], check=True)

    def fill(self):
        """Thirty days of temperature with gaps and one spike, and pictures of two days."""
        log = sqlite3.connect(f"{self.folder}/bridge.db")
        channels = {(sensor, quantity): row for row, sensor, quantity in log.execute("SELECT id, sensor, quantity FROM channel")}
        row = log.execute("SELECT max(id) FROM reading").fetchone()[0]
        # Rows rise with time, and so do pictures.
        log.execute("DELETE FROM image")
        now = time.time_ns() // 1000
        rows, random_ = [], random.Random(7)
        broken = [(9 * HOUR, 6.5 * HOUR), (4 * DAY, 3.6 * DAY), (13 * DAY, 12 * DAY)]
        for name, low, high, phase in ((("air", "temperature"), 16, 24, 0), (("air", "humidity"), 45, 75, 6), (("light", "illuminance"), 0, 40_000, 0)):
            t = now - 30 * DAY
            while t < now - 60_000_000:
                t += 240_000_000 if t < now - 2 * DAY else 45_000_000
                if any(now - begin < t < now - end for begin, end in broken):
                    continue
                sun = math.sin((t % DAY / HOUR - 8 - phase) / 24 * 2 * math.pi)
                value = low + (high - low) * (0.5 + 0.42 * sun) + random_.gauss(0, (high - low) * 0.012)
                if name[1] == "temperature" and abs(t - (now - 16 * HOUR)) < 23_000_000:
                    value = 38.4
                rows.append((t, channels[name], round(value, 2)))
        for hours in range(36, 0, -1):
            rows.append((now - hours * HOUR // 2 * 2, channels[("sky", "image")], None))
        for time_, channel, value in sorted(rows, key=lambda one: one[0]):
            row += 1
            if value is not None:
                log.execute("INSERT INTO reading (id, channel, time, value, flags) VALUES (?, ?, ?, ?, 0)", (row, channel, time_, value))
                continue
            png(f"{self.folder}/then.png", (time_ / HOUR + 1) % 24)
            data = open(f"{self.folder}/then.png", "rb").read()
            log.execute("INSERT INTO reading (id, channel, time, value, flags) VALUES (?, ?, ?, ?, 0)", (row, channel, time_, len(data)))
            log.execute("INSERT INTO image (row, content_type, width, height, sha256, data) VALUES (?, 'image/png', 640, 360, ?, ?)", (row, "0" * 64, data))
        # As if it had been delivered: what is waiting would be published again.
        log.execute("UPDATE progress SET cursor = ?", (row,))
        log.commit()
        log.close()

    def fill_millions(self, readings):
        """So many readings over thirty days, shared by the sensors that were asked for, as `tests/support/fill.rs` does."""
        log = sqlite3.connect(f"{self.folder}/bridge.db", isolation_level=None)
        for pragma in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", "cache_size = -200000"):
            log.execute(f"PRAGMA {pragma}")
        last, newest = log.execute("SELECT max(id), max(time) FROM reading").fetchone()
        with open(os.path.join(os.path.dirname(__file__), "../support/fill.sql")) as file:
            for sql in file.read().split("\n\n")[1:]:
                log.execute(sql, {"quantity": "value", "readings": readings, "last": last, "newest": newest})
        log.execute("PRAGMA journal_mode = WAL")
        log.close()

    def processor(self):
        """Milliseconds that the daemon has spent on the processor."""
        tasks = f"/proc/{self.daemon.pid}/task"
        return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0]) for task in os.listdir(tasks)) / 1e6

    def not_rolled_up(self):
        """Readings that wait for that."""
        log = sqlite3.connect(f"file:{self.folder}/bridge.db?mode=ro", uri=True, timeout=30)
        waiting = log.execute("SELECT (SELECT max(id) FROM reading) - rolled FROM progress").fetchone()[0]
        log.close()
        return waiting

    def close(self):
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    scene = Scene(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    scene.publish()
    print(scene.url, flush=True)
    try:
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        scene.close()
