// What a report's page does beyond being read: values under the pointer, and the config's copy.
// Everything is there to be seen without this.
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function number(value) {
    if (value === null) {
      return "no value";
    }
    return typeof value === "string" || Number.isInteger(value) ? String(value)
                                                                : String(Number(value.toPrecision(5)));
  }

  function element(parent, name, attributes, namespace) {
    const made = namespace ? document.createElementNS(namespace, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      made.setAttribute(key, value);
    }
    return parent.appendChild(made);
  }

  // A figure's table, and where its rows lie in the drawing: plots/readout.gp says what the keys of
  // `spec` mean. `anchors` are the places that a pointer can be near to: {row, series, x, y}. Where x
  // or y is undefined, the row lies all along that axis; series is -1 where it belongs to none.
  class Rows {
    constructor(data) {
      this.data = data;
      data.series = data.series.filter((one) => one !== null);
      this.spec = Object.fromEntries(data.readout.split(" ").map((word) => word.split("=")));
      const log = this.spec.log || "";
      const [left, right, bottom, top] = data.plot;
      this.toX = Rows.scale(data.x, left, right, log.includes("x"));
      this.toY = Rows.scale(data.y, data.size[1] - bottom, data.size[1] - top, log.includes("y"));
      this.setUpPanels();
      this.anchors = data.rows.flatMap((row, i) => this.anchorsOf(row, i))
        .filter(({x, y}) => !Number.isNaN(x) && !Number.isNaN(y));
    }

    static scale([from, to], start, end, log) {
      const place = log ? Math.log : (value) => value;
      const length = place(to) - place(from) || 1;
      return (value) => start + (end - start) * (place(value) - place(from)) / length;
    }

    // A value that lies on an axis; NaN: it is beyond, or there is none.
    static within([from, to], value) {
      return value !== null && value >= from && value <= to ? value : NaN;
    }

    // The series that have a panel, from the top, and a panel's height in the drawing.
    setUpPanels() {
      const names = this.data.series.map(([name]) => name);
      const shown = this.spec.panels ? this.spec.panels.split(",") : names;
      this.panels = this.spec.panel ? shown.map((name) => names.indexOf(name)) : [];
      this.panelHeight = this.spec.panel ? this.toY(Number(this.spec.panel)) - this.toY(0) : 0;
    }

    value(row, column) {
      const at = this.data.columns.indexOf(column);
      return at < 0 ? null : row[at];
    }

    // A series' value in a row.
    valueOf(row, name) {
      return this.value(row, this.data.columns.includes(name) ? name : name + ":mean");
    }

    // The places of a column's different values in their order, from 1.
    ranks(column) {
      this.ranked = this.ranked || {};
      if (!this.ranked[column]) {
        const all = new Set(this.data.rows.map((row) => this.value(row, column)));
        this.ranked[column] = [...all].sort((a, b) => a - b);
      }
      return this.ranked[column];
    }

    // Where a row is along one axis; NaN: nowhere.
    position(row, i, axis, scale) {
      const column = this.spec[axis];
      if (column === undefined) {
        return undefined;
      }
      if (column === "#") {
        return scale(i + 1);
      }
      const value = this.value(row, column);
      if ((this.spec.rank || "").includes(axis)) {
        return scale(this.ranks(column).indexOf(value) + 1);
      }
      const extra = axis === "x" && this.spec.wide ? (this.value(row, this.spec.wide) - 1) / 2 : 0;
      return typeof value === "number" ? scale(value + extra) : NaN;
    }

    anchorsOf(row, i) {
      if (this.spec.each) {
        return this.data.series.map(([name], series) => {
          const x = Rows.within(this.data.x, this.value(row, name + ":" + this.spec.each));
          const y = Rows.within(this.data.y, this.valueOf(row, name));
          return {row: i, series, x: this.toX(x), y: this.toY(y)};
        });
      }
      const x = this.position(row, i, "x", this.toX);
      const y = this.position(row, i, "y", this.toY);
      if (this.panels.length > 0 && y !== undefined) {
        return this.panels.map((series, panel) => ({
          row: i, series, x, y: y + (this.panels.length - 1 - panel) * this.panelHeight,
        }));
      }
      return [{row: i, series: -1, x, y}];
    }

    // The anchor that is nearest to a point of the drawing; null where there is none.
    nearest(x, y) {
      let best = null;
      let least = Infinity;
      for (const anchor of this.anchors) {
        const dx = anchor.x === undefined ? 0 : anchor.x - x;
        const dy = anchor.y === undefined ? 0 : anchor.y - y;
        if (dx * dx + dy * dy < least) {
          least = dx * dx + dy * dy;
          best = anchor;
        }
      }
      return best;
    }

    // The next anchor in a direction of the arrow keys, or the same where there is none. On a grid it
    // is in the same row or column; where anchors lie along one axis, all four keys follow it.
    next(at, right, up) {
      const along = at.y === undefined || (right !== 0 && at.x !== undefined) ? "x" : "y";
      const across = along === "x" ? "y" : "x";
      const sign = along === "x" ? right || up : -(up || right);
      const grid = at[across] !== undefined && !this.spec.each;
      let best = at;
      let least = Infinity;
      for (const anchor of this.anchors) {
        const ahead = (anchor[along] - at[along]) * sign;
        const aside = grid && Math.abs(anchor[across] - at[across]) > 0.01;
        if (ahead > 0.001 && ahead < least && !aside) {
          least = ahead;
          best = anchor;
        }
      }
      return best;
    }

    // The first or the last anchor of those that the left and right keys reach.
    end(at, sign) {
      let to = at;
      for (let next = this.next(to, sign, 0); next !== to; next = this.next(to, sign, 0)) {
        to = next;
      }
      return to;
    }

    where(row) {
      const says = (column) => column.replace(/_/g, " ") + " ";
      const parts = [];
      if (this.spec.x && this.spec.x !== "#") {
        const from = this.value(row, this.spec.x);
        const wide = this.spec.wide ? this.value(row, this.spec.wide) : 1;
        parts.push(says(this.spec.x) + number(from) + (wide > 1 ? " to " + number(from + wide - 1) : ""));
      }
      if (this.spec.name) {
        const name = this.value(row, this.spec.name);
        if (name !== "-") { // a run that nothing was swept for
          parts.push(typeof name === "string" ? name : says(this.spec.name) + number(name));
        }
      } else if (this.spec.y && this.spec.y !== "#") {
        parts.push(says(this.spec.y) + number(this.value(row, this.spec.y)));
      }
      return parts.join(", ");
    }

    // What a series' further columns, NAME:min and the like, add to its value.
    further(row, name) {
      const of = (suffix) => this.value(row, name + ":" + suffix);
      const texts = [];
      for (const [low, high] of [["min", "max"], ["low", "high"]]) {
        if (of(low) !== null && of(high) !== null && of(low) !== of(high)) {
          texts.push("(" + number(of(low)) + " to " + number(of(high)) + ")");
        }
      }
      if (of("x") !== null) {
        texts.push("at " + number(of("x")) + " " + (this.value(row, "unit") || ""));
      }
      if (of("plans")) {
        texts.push(of("plans") === 1 ? "a plan" : of("plans") + " plans");
      }
      const told = ["min", "max", "low", "high", "x", "x_low", "x_high", "plans", "mean", "n"];
      const others = [];
      this.data.columns.forEach((column, at) => {
        const suffix = column.startsWith(name + ":") ? column.slice(name.length + 1) : "";
        if (suffix !== "" && !told.includes(suffix)) {
          others.push(suffix.replace(/_/g, " ") + " " + number(row[at]));
        }
      });
      if (others.length > 0) {
        texts.push("(" + others.join(", ") + ")");
      }
      return texts.length === 0 ? "" : " " + texts.join(" ");
    }

    // [{text, colour, here}] of an anchor's row.
    values(anchor) {
      const row = this.data.rows[anchor.row];
      const has = (name) => this.data.columns.some((column) => column.split(":")[0] === name);
      const series = this.data.series.map(([name, colour], i) => ({name, colour, here: i === anchor.series}))
        .filter(({name}) => has(name) && !(this.spec.each && this.valueOf(row, name) === null));
      if (series.length > 0) {
        return series.map(({name, colour, here}) => ({
          text: name + " " + number(this.valueOf(row, name)) + this.further(row, name), colour, here,
        }));
      }
      const told = Object.values(this.spec);
      return this.data.columns.map((column, at) => ({column, at}))
        .filter(({column}) => !told.includes(column))
        .map(({column, at}) => ({text: column.replace(/[_:]/g, " ") + " " + number(row[at]), here: false}));
    }

    // Where the series' lines meet the row: points in the drawing, with their colours.
    points(anchor) {
      if ((anchor.x === undefined) === (anchor.y === undefined) || this.spec.panel) {
        return [];
      }
      const [left, right, bottom, top] = this.data.plot;
      const height = this.data.size[1];
      return this.data.series.map(([name, colour]) => {
        const value = this.valueOf(this.data.rows[anchor.row], name);
        const x = anchor.x === undefined ? this.toX(value) : anchor.x;
        const y = anchor.y === undefined ? this.toY(value) : anchor.y;
        return {x, y, colour, value};
      }).filter((at) => at.value !== null && at.x >= left - 1 && at.x <= right + 1 &&
                        at.y <= height - bottom + 1 && at.y >= height - top - 1);
    }
  }

  // One figure with its read-out: pointer, touch and arrow keys.
  class Readout {
    constructor(figure, rows) {
      this.rows = rows;
      this.plot = figure.querySelector(".plot");
      this.svg = this.plot.querySelector("svg");
      this.text = figure.querySelector(".readout");
      this.at = null;
      this.mark = element(this.svg, "g", {class: "mark"}, SVG);
      const name = figure.querySelector("figcaption strong");
      for (const [key, value] of Object.entries({
        tabindex: "0",
        role: "slider",
        "aria-label": (name ? name.textContent : "figure") + ": values",
        "aria-valuemin": "1",
        "aria-valuemax": String(this.rows.anchors.length),
      })) {
        this.plot.setAttribute(key, value);
      }
      this.text.hidden = false;
      this.listen();
      this.reserve();
      // A phone's window changes its height whenever the address bar comes and goes.
      let width = innerWidth;
      addEventListener("resize", () => {
        if (innerWidth !== width) {
          width = innerWidth;
          this.reserve();
        }
      });
    }

    // Room for the values, so that nothing below moves as they come and go. Where a finger calls them,
    // they stay, and the room would be no more than a gap.
    reserve() {
      const {anchors} = this.rows;
      this.text.style.minHeight = "";
      if (!matchMedia("(hover: hover) and (min-width: 40rem)").matches) {
        this.clear();
        return;
      }
      let height = 0;
      for (const part of [0, 0.25, 0.5, 0.75, 1]) {
        this.show(anchors[Math.floor(part * (anchors.length - 1))]);
        height = Math.max(height, this.text.offsetHeight);
      }
      this.text.style.minHeight = height + "px";
      this.clear();
    }

    listen() {
      const point = (event) => {
        const box = this.svg.getBoundingClientRect();
        const [width, height] = this.rows.data.size;
        const at = this.rows.nearest((event.clientX - box.left) / box.width * width,
                                     (event.clientY - box.top) / box.height * height);
        this.show(at);
      };
      this.plot.addEventListener("pointermove", point);
      this.plot.addEventListener("pointerdown", point);
      this.plot.addEventListener("pointerleave", (event) => {
        if (event.pointerType === "mouse" && document.activeElement !== this.plot) {
          this.clear();
        }
      });
      this.plot.addEventListener("focus", () => {
        if (this.at === null) {
          this.show(this.rows.anchors[0]);
        }
      });
      this.plot.addEventListener("blur", () => this.clear());
      this.plot.addEventListener("keydown", (event) => this.press(event));
    }

    press(event) {
      const moves = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
      const pages = {PageUp: 1, PageDown: -1};
      const ends = {Home: -1, End: 1};
      const at = this.at || this.rows.anchors[0];
      if (event.ctrlKey || event.altKey || event.metaKey) {
        return;
      }
      if (event.key === "Escape") {
        this.clear();
      } else if (event.key in ends) {
        this.show(this.rows.end(at, ends[event.key]));
      } else if (event.key in pages) {
        let to = at;
        for (let i = 0; i < 10; i++) {
          to = this.rows.next(to, pages[event.key], 0);
        }
        this.show(to);
      } else if (event.key in moves) {
        this.show(this.rows.next(at, ...moves[event.key]));
      } else {
        return;
      }
      event.preventDefault();
    }

    show(at) {
      if (at === this.at) {
        return;
      }
      const values = this.rows.values(at);
      const where = this.rows.where(this.rows.data.rows[at.row]);
      this.at = at;
      this.text.replaceChildren();
      if (where !== "") {
        element(this.text, "b", {}).textContent = where;
      }
      for (const {text, colour, here} of values) {
        const span = element(this.text, "span", here ? {class: "here"} : {});
        if (colour) {
          const swatch = element(span, "svg", {viewBox: "0 0 10 10", "aria-hidden": "true"}, SVG);
          element(swatch, "circle", {cx: 5, cy: 5, r: 5, fill: colour}, SVG);
        }
        span.append(text);
      }
      this.plot.setAttribute("aria-valuenow", String(this.rows.anchors.indexOf(at) + 1));
      this.plot.setAttribute("aria-valuetext", (where !== "" ? where + ": " : "") +
                                               values.map(({text}) => text).join("; "));
      this.draw(at);
    }

    draw(at) {
      const [left, right, bottom, top] = this.rows.data.plot;
      const height = this.rows.data.size[1];
      const {x, y} = at;
      this.mark.replaceChildren();
      if (x !== undefined && y !== undefined) {
        element(this.mark, "path", {d: `M${x - 4},${y} h8 M${x},${y - 4} v8`}, SVG);
      } else if (x !== undefined) {
        element(this.mark, "path", {d: `M${x},${height - bottom} V${height - top}`}, SVG);
      } else if (y !== undefined) {
        element(this.mark, "path", {d: `M${left},${y} H${right}`}, SVG);
      }
      for (const point of this.rows.points(at)) {
        element(this.mark, "circle", {cx: point.x, cy: point.y, r: 1.9, fill: point.colour}, SVG);
      }
    }

    clear() {
      this.at = null;
      this.mark.replaceChildren();
      this.text.textContent = "";
      this.plot.setAttribute("aria-valuenow", "1");
      this.plot.setAttribute("aria-valuetext", "none chosen; use the arrow keys");
    }
  }

  // Copies a text; where pages from disk may not use the clipboard, by selecting it.
  async function copy(source) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(source);
      return document.execCommand("copy");
    }
  }

  function setUpCopy(button) {
    const label = button.textContent;
    const said = button.parentNode.querySelector("[role=status]");
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copy(document.getElementById(button.dataset.copies));
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      said.textContent = done ? "copied" : "the text is selected; press Ctrl+C";
      setTimeout(() => {
        button.textContent = label;
        said.textContent = "";
      }, 3000);
    });
  }

  // What is folded is printed too, and folded again afterwards.
  function setUpPrint() {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details:not([open])")];
      opened.forEach((one) => { one.open = true; });
    });
    addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));
  }

  for (const figure of document.querySelectorAll("figure")) {
    const rows = new Rows(JSON.parse(figure.querySelector("script").textContent));
    if (rows.anchors.length > 0 && rows.data.readout !== "") {
      new Readout(figure, rows);
      document.getElementById("how").hidden = false;
    }
  }
  for (const button of document.querySelectorAll("button[data-copies]")) {
    setUpCopy(button);
  }
  setUpPrint();
})();
