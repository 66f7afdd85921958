"""The page of `moebal report` in headless Chromium: what a reader sees and does.

The values under the pointer are compared with the tables that `moebal plot` writes, and found by where
gnuplot has put its labels: not by what the page says of its axes.
"""
import csv
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

MOEBAL = os.environ["MOEBAL"]
TRACE = "{use: domains, steps: 600, layers: 6, experts: 16, top_k: 2, groups: 4}"
CONFIG = f"""name: tiny
trace: {{generate: {TRACE}}}
cluster: {{nodes: 2, gpus: 4, slots: 24}}
schedule: {{interval: 20, window: 20}}
strategies: [none, lpt, l2, hindsight]
"""
SWEEP = CONFIG.replace("tiny", "grid") + """sweep:
  schedule.interval: [10, 20, 40]
  schedule.window: [20, 40]
  seed: 1..2
"""


def run(*arguments):
    return subprocess.run([MOEBAL, *arguments], check=True, capture_output=True, text=True).stdout


def make(name, config):
    """A results file, its page, and the tables of its figures."""
    with open(name + ".yaml", "w", encoding="utf-8") as file:
        file.write(config)
    run("run", name + ".yaml", "--quiet", "-o", name + ".h5")
    run("report", name + ".h5")
    written = run("plot", name + ".h5", "-o", name, "-f", "svg").split("\n")
    tables = {}
    for path in written:
        if path.endswith(".tsv"):
            with open(path, encoding="utf-8") as file:
                rows = list(csv.reader(file, delimiter="\t"))
            tables[os.path.basename(path)[:-4]] = [dict(zip(rows[0], row)) for row in rows[1:]]
    return tables


class Browser:
    def __init__(self):
        options = Options()
        options.binary_location = os.environ["CHROMIUM"]
        arguments = ["--headless=new", "--disable-gpu", "--window-size=1200,900",
                     "--disable-dev-shm-usage"]
        for argument in arguments + (["--no-sandbox"] if os.geteuid() == 0 else []):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.opened = set()
        self.driver = webdriver.Chrome(service=Service(os.environ["CHROMEDRIVER"]), options=options)

    def emulate(self, width=1200, dark=False, media="", scripts=True):
        cdp = self.driver.execute_cdp_cmd
        cdp("Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
        cdp("Emulation.setEmulatedMedia", {"media": media, "features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        cdp("Emulation.setScriptExecutionDisabled", {"value": not scripts})

    def open(self, name, **how):
        self.emulate(**how)
        self.opened.add("file://" + os.path.abspath(name))
        self.driver.get("file://" + os.path.abspath(name))

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def requests(self):
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [entry["params"]["request"]["url"] for entry in entries
                if entry["method"] == "Network.requestWillBeSent"]

    def labels(self, figure, text):
        """The middles [x, y] in the window of all labels with that text, from the top."""
        return self.script("""
            return [...document.querySelectorAll(`#${arguments[0]} .plot svg text`)]
              .filter((one) => one.textContent.trim() === arguments[1])
              .map((one) => one.getBoundingClientRect())
              .map((box) => [box.left + box.width / 2, box.top + box.height / 2])
              .sort((a, b) => a[1] - b[1]);""", figure, text)

    def label(self, figure, text, number=0):
        """One of these labels: of ticks below the plot the x counts, of those beside it the y."""
        found = self.labels(figure, text)
        assert found, f"{figure}: no label {text}"
        return found[number]

    def move(self, x, y):
        actions = ActionChains(self.driver, duration=0)
        actions.w3c_actions.pointer_action.move_to_location(int(round(x)), int(round(y)))
        actions.perform()

    def said(self, figure):
        """What the read-out says: where, its values as {series: text}, and which stands out."""
        texts = self.script("""
            const out = document.querySelector(`#${arguments[0]} .readout`);
            return [out.querySelector("b")?.textContent ?? "",
                    [...out.querySelectorAll("span")].map((one) => one.textContent),
                    out.querySelector(".here")?.textContent ?? ""];""", figure)
        return texts[0], dict(text.split(" ", 1) for text in texts[1]), texts[2].split(" ")[0]


def near(text, value):
    """Whether the number that a text begins with is the value, to five digits."""
    number = float(text.split(" ")[0])
    return abs(number - float(value)) <= 6e-5 * max(1.0, abs(float(value)))


def check_series(said, row, names):
    for name in names:
        assert near(said[name], row[name]), f"{name}: {said[name]}, the table has {row[name]}"


def centre(browser, figure):
    """Scrolls a figure into the middle, with the pointer away from all; the plot's middle."""
    browser.move(1, 1)
    browser.script("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", figure)
    return browser.script("""const box = document.querySelector(`#${arguments[0]} .plot`).getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2];""", figure)


def check_visible(browser, tables):
    shown = [figure.get_attribute("id") for figure in browser.find_all("figure")]
    assert set(tables) <= set(shown), f"{sorted(tables)} are figures, the page has {shown}"
    for figure in browser.find_all("figure"):
        name = figure.get_attribute("id")
        svg = figure.find_element(By.CSS_SELECTOR, ".plot svg")
        box = svg.rect
        assert box["width"] > 200 and box["height"] > 80, f"{name}: {box}"
        assert svg.is_displayed(), f"{name} is hidden"
        assert figure.find_element(By.TAG_NAME, "figcaption").is_displayed()
        assert ink_of(svg.screenshot_as_png) > 0.01, f"{name}: nothing is drawn"


def ink_of(png):
    """The fraction of a screenshot's bytes that its filters do not predict: 0 of a plain area."""
    data, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        data += png[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    raw = zlib.decompress(data)
    return 1 - raw.count(0) / len(raw)


def check_over_time(browser, table, names):
    figure = "imbalance_over_time"
    _, middle = centre(browser, figure)
    for tick in ("200", "400"):
        x = browser.label(figure, tick)[0]
        browser.move(x, middle)
        where, said, _ = browser.said(figure)
        first, last = map(int, re.fullmatch(r"step (\d+) to (\d+)", where).groups())
        width = last - first + 1
        assert first - width <= int(tick) <= last + width, f"{where} at {tick}"
        check_series(said, next(row for row in table if int(row["step"]) == first), names)


def check_cdf(browser, table, names):
    figure = "imbalance_cdf"
    middle, _ = centre(browser, figure)
    for tick in ("0.25", "0.75"):
        browser.move(middle, browser.label(figure, tick)[1])
        where, said, _ = browser.said(figure)
        fraction = float(where.split(" ")[1])
        assert where.startswith("fraction ") and abs(fraction - float(tick)) < 0.02, where
        check_series(said, min(table, key=lambda row: abs(float(row["fraction"]) - fraction)), names)


def check_heatmap(browser, table, names):
    figure = "layer_heatmap"
    centre(browser, figure)
    ids = sorted({int(row["layer"]) for row in table})
    for panel in (0, 2):
        for layer in (ids[0], ids[-1]):
            x = browser.label(figure, "400")[0]
            y = browser.label(figure, str(layer), number=panel)[1]
            browser.move(x, y)
            where, said, here = browser.said(figure)
            first, found = map(int, re.fullmatch(r"step (\d+) to \d+, layer (\d+)", where).groups())
            assert found == layer and abs(first - 400) < 10, f"{where}, not step 400, layer {layer}"
            assert here == names[panel], f"{here}, not {names[panel]}"
            check_series(said, next(row for row in table if int(row["step"]) == first
                                    and int(row["layer"]) == layer), names)


def check_bars(browser, table):
    figure = "strategy_bars"
    middle, _ = centre(browser, figure)
    for row in table:
        browser.move(middle, browser.label(figure, row["strategy"])[1])
        where, said, _ = browser.said(figure)
        assert where == row["strategy"], f"{where}, not {row['strategy']}"
        assert near(said["mean"], row["mean"]) and near(said["p95"], row["p95"]), said


def check_every(browser):
    """Every figure has a read-out that comes with the pointer and goes with it."""
    for one in browser.find_all("figure"):
        figure = one.get_attribute("id")
        assert browser.said(figure)[1] == {}, f"{figure}: values that nobody asked for"
        browser.move(*centre(browser, figure))
        where, said, _ = browser.said(figure)
        assert said and not where.startswith("-"), f"{figure}: '{where}', {said}"
        assert browser.find_all(f"#{figure} .mark > *"), f"{figure}: no mark"
        browser.move(1, 1)
        assert browser.said(figure)[1] == {}, f"{figure}: values without a pointer"


def check_gpus(browser, table, names):
    figure = "gpu_load"
    _, middle = centre(browser, figure)
    for gpu in ("1", "4"):
        browser.move(browser.labels(figure, gpu)[-1][0], middle)
        where, said, _ = browser.said(figure)
        row = next(row for row in table if row["gpu"] == gpu)
        assert where == "gpu " + gpu, f"{where}, not {gpu}"
        for name in names:
            assert name not in said or near(said[name], row[name]), f"{name}: {said[name]}, {row}"
        assert "l2" in said and " (before " in said["l2"], said


def check_grid(browser, table, names):
    figure = "interval_window"
    centre(browser, figure)
    for interval in ("10", "40"):
        for window in ("20", "40"):
            # The left-most label of that number is of the axis upwards, the lowest of that across.
            x = browser.label(figure, interval, number=-1)[0]
            y = min(browser.labels(figure, window))[1]
            browser.move(x, y)
            where, said, _ = browser.said(figure)
            assert where == f"interval {interval}, window {window}", where
            check_series(said, next(row for row in table if row["interval"] == interval
                                    and row["window"] == window), names)


def check_keyboard(browser, table):
    figure = "imbalance_over_time"
    plot = browser.find(f"#{figure} .plot")
    for _ in range(40):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        if browser.driver.switch_to.active_element == plot:
            break
    assert browser.driver.switch_to.active_element == plot, "the figure is not reached by Tab"
    outline = browser.script("""const style = getComputedStyle(arguments[0]);
        return [style.outlineStyle, parseFloat(style.outlineWidth)];""", plot)
    assert outline[0] != "none" and outline[1] >= 2, f"focus is not seen: {outline}"
    assert browser.said(figure)[0].startswith("step 0 "), browser.said(figure)
    plot.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.said(figure)[0].startswith(f"step {table[2]['step']} "), browser.said(figure)
    assert plot.get_attribute("aria-valuetext").startswith(f"step {table[2]['step']} ")
    plot.send_keys(Keys.ARROW_LEFT)
    assert browser.said(figure)[0].startswith(f"step {table[1]['step']} ")
    plot.send_keys(Keys.END)
    assert browser.said(figure)[0].startswith(f"step {table[-1]['step']} ")
    plot.send_keys(Keys.HOME, Keys.PAGE_UP)
    assert browser.said(figure)[0].startswith(f"step {table[10]['step']} ")
    plot.send_keys(Keys.ESCAPE)
    assert browser.said(figure)[0] == "", "Escape leaves values"

    # In two directions: a layer up, over the edge of a panel, a bin to the right.
    figure = "layer_heatmap"
    plot = browser.find(f"#{figure} .plot")
    browser.script("arguments[0].focus()", plot)
    before = browser.said(figure)
    plot.send_keys(Keys.ARROW_UP)
    assert browser.said(figure)[0] != before[0] and browser.said(figure)[2] == before[2]
    plot.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert browser.said(figure)[2] != before[2], "no way to the next panel"


def check_touch(browser):
    figure = "imbalance_over_time"
    x, y = centre(browser, figure)
    for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
        browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert browser.said(figure)[0].startswith("step "), "a touch shows nothing"
    cut = browser.script("""const box = document.querySelector(`#${arguments[0]} .readout`);
        return [...box.children].some((one) => one.getBoundingClientRect().right > innerWidth);""", figure)
    assert not cut, "the read-out is cut off"


def pasted(browser):
    """What the clipboard has, pasted as a reader would."""
    browser.script("""const area = document.createElement("textarea");
        area.id = "paste"; document.body.append(area); area.focus();""")
    ActionChains(browser.driver).key_down(Keys.CONTROL).send_keys("v").key_up(Keys.CONTROL).perform()
    text = browser.script("""const area = document.getElementById("paste");
        const text = area.value; area.remove(); return text;""")
    return text


def check_copy(browser, path):
    import h5py  # pylint: disable=import-outside-toplevel

    with h5py.File(path) as file:
        config = file["provenance"].attrs["config"]
    button = browser.find("button[data-copies]")
    browser.script("arguments[0].scrollIntoView()", button)
    # Both texts go again after some seconds, perhaps before a slow machine looks at them.
    browser.script("""const button = arguments[0];
        const status = button.parentNode.querySelector("[role=status]");
        window.told = [];
        new MutationObserver(() => window.told.push([button.textContent, status.textContent]))
          .observe(button.parentNode, {childList: true, characterData: true, subtree: true});""", button)
    button.send_keys(Keys.ENTER)
    for _ in range(500):
        told = browser.script("return window.told")
        if told:
            break
        time.sleep(0.02)
    assert told and told[0] == ["Copied", "copied"], told
    assert pasted(browser) == config, "something else was copied"
    assert browser.find("#config").text.strip() == config.strip()


def luminance(colour):
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def relative(colour):
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def check_contrast(browser):
    paper_light = relative(browser.script("return getComputedStyle(document.body).backgroundColor"))
    for selector in ("h1", "main p", ".under", ".note", "a", "summary", "td", "thead th", "dt", "dd",
                     "figcaption p", ".better", ".worse", ".baseline td", "pre", "button"):
        for one in browser.find_all(selector)[:1]:
            ink = relative(browser.script("return getComputedStyle(arguments[0]).color", one))
            low, high = sorted((ink, paper_light))
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{selector}: too little contrast"


def paper(browser):
    return luminance(browser.script("return getComputedStyle(document.body).backgroundColor"))


def check_width(browser, name):
    for width in (320, 360, 768):
        browser.open(name, width=width)
        wide = browser.script("return document.scrollingElement.scrollWidth")
        assert wide <= width, f"{name}: {wide} px at a width of {width}"


def check_looks(browser, name):
    browser.open(name, dark=True)
    assert paper(browser) < 60, "dark mode is not dark"
    ink = luminance(browser.script("return getComputedStyle(document.querySelector('h1')).color"))
    assert ink > 180, "dark mode has dark text"
    assert "invert" in browser.script("return getComputedStyle(document.querySelector('.plot svg')).filter")
    check_contrast(browser)
    browser.open(name, dark=True, media="print")
    assert not browser.find("nav").is_displayed() and not browser.find(".readout").is_displayed()
    assert browser.script("return getComputedStyle(document.querySelector('.plot svg')).filter") == "none"
    assert luminance(browser.script("return getComputedStyle(document.body).color")) < 60
    browser.open(name)
    check_contrast(browser)
    for event, wanted in (("beforeprint", True), ("afterprint", False)):
        opened = browser.script("""dispatchEvent(new Event(arguments[0]));
            return [...document.querySelectorAll("details")].map((one) => one.open);""", event)
        assert opened and all(one is wanted for one in opened), f"{event}: {opened}"
    pdf = browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert len(pdf) > 10000
    browser.open(name, scripts=False)
    assert all(figure.is_displayed() for figure in browser.find_all(".plot svg"))
    assert browser.find("#config").is_displayed() and not browser.find("button").is_displayed()


def check_sealed(browser, name):
    """The policy holds: the page itself can neither load nor send."""
    browser.open(name)
    browser.driver.get_log("browser")
    blocked = browser.driver.execute_async_script("""const done = arguments[0];
        const image = new Image();
        image.onload = () => done("an image was loaded");
        image.onerror = () => fetch("http://127.0.0.1:9/").then(() => done("sent"), () => done("blocked"));
        image.src = "http://127.0.0.1:9/x.png";""")
    log = " ".join(entry["message"] for entry in browser.driver.get_log("browser"))
    assert blocked == "blocked" and log.count("Content Security Policy") >= 2, log


BAD = "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'\"<!--" + "x" * 200


def make_hostile():
    """A page of results whose texts would be markup, and are too long for any window."""
    import h5py  # pylint: disable=import-outside-toplevel

    shutil.copy("grid.h5", "hostile.h5")
    with h5py.File("hostile.h5", "r+") as file:
        for name in ("config", "trace_source", "trace", "version", "start_time", "git", "compiler"):
            file["provenance"].attrs[name] = "name: " + BAD if name == "config" else BAD
        for group in file["runs"].values():
            for name in ("model", "phase", "trace"):
                group.attrs[name] = BAD
        old = file["cells"][:]
        cells = old.astype([(name, old.dtype[name] if name == "run" else "S400") for name in old.dtype.names])
        for column in old.dtype.names[2:]:
            cells[column] = [value + BAD.encode() for value in old[column]]
        del file["cells"]
        file.create_dataset("cells", data=cells)
    run("report", "hostile.h5")


def check_hostile(browser):
    browser.open("hostile.html")
    assert browser.find("h1").text == BAD, browser.find("h1").text
    made = browser.script("return document.querySelectorAll('img, body > script + *, [onerror]').length")
    assert made == 0, "texts have become elements"
    assert browser.find("#config").text == "name: " + BAD
    check_width(browser, "hostile.html")


def main():
    os.chdir(sys.argv[1])
    tables = make("tiny", CONFIG)
    sweep = make("grid", SWEEP)
    names = ["none", "lpt", "l2", "hindsight"]
    browser = Browser()
    try:
        browser.open("tiny.html")
        check_visible(browser, tables)
        check_over_time(browser, tables["imbalance_over_time"], names)
        check_cdf(browser, tables["imbalance_cdf"], names)
        check_heatmap(browser, tables["layer_heatmap"], names)
        check_bars(browser, tables["strategy_bars"])
        check_gpus(browser, tables["gpu_load"], names)
        check_every(browser)
        browser.open("tiny.html")
        check_keyboard(browser, tables["imbalance_over_time"])
        check_copy(browser, "tiny.h5")
        browser.open("grid.html")
        check_visible(browser, sweep)
        check_grid(browser, sweep["interval_window"], names)
        check_every(browser)
        make_hostile()
        check_hostile(browser)
        for name in ("tiny.html", "grid.html"):
            check_width(browser, name)
            browser.open(name, width=360)
            check_touch(browser)
            check_looks(browser, name)
        log = browser.driver.get_log("browser")
        assert log == [], f"the console says {log}"
        asked = {url for url in browser.requests() if not url.startswith("data:image/")}
        assert asked == browser.opened, f"requests leave the page: {asked - browser.opened}"
        check_sealed(browser, "tiny.html")
    finally:
        browser.driver.quit()


if len(sys.argv) == 1:
    with tempfile.TemporaryDirectory() as folder:
        sys.argv.append(folder)
        main()
else:
    main()
