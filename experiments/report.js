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
  // `data` mean.
  class Rows {
    constructor(data) {
      this.data = data;
      data.series = data.series.filter((one) => one !== null);
      this.spec = Object.fromEntries(data.readout.split(" ").map((word) => word.split("=")));
      const log = this.spec.log || "";
      const [left, right, bottom, top] = data.plot;
      this.toX = Rows.scale(data.x, left, right, log.includes("x"));
      this.toY = Rows.scale(data.y, data.size[1] - bottom, data.size[1] - top, log.includes("y"));
      this.panel = Number(this.spec.panel || 0);
      this.panelHeight = this.panel ? this.toY(this.panel) - this.toY(0) : 0;
      this.x = data.rows.map((row, i) => this.position(row, i, this.spec.x, this.spec.wide, this.toX));
      this.y = data.rows.map((row, i) => this.position(row, i, this.spec.y, undefined, this.toY));
      this.drawn = data.rows.map((row, i) => i).filter((i) => this.x[i] !== null && this.y[i] !== null);
    }

    static scale([from, to], start, end, log) {
      const place = log ? Math.log : (value) => value;
      const length = place(to) - place(from) || 1;
      return (value) => start + (end - start) * (place(value) - place(from)) / length;
    }

    value(row, column) {
      const at = this.data.columns.indexOf(column);
      return at < 0 ? null : row[at];
    }

    // undefined: rows lie all along this axis; null: this row is not drawn.
    position(row, i, column, wide, scale) {
      if (column === undefined) {
        return undefined;
      }
      const value = column === "#" ? i + 1 : this.value(row, column);
      const extra = wide ? (this.value(row, wide) - 1) / 2 : 0;
      const place = typeof value === "number" ? scale(value + extra) : NaN;
      return Number.isFinite(place) ? place : null;
    }

    panelBase(panel) {
      return (this.data.series.length - 1 - panel) * this.panelHeight;
    }

    // The row, and in figures of panels the panel, that is nearest to a point of the drawing.
    nearest(x, y) {
      let panel = 0;
      if (this.panel) {
        const up = (y - this.toY(-0.5)) / this.panelHeight;
        const last = this.data.series.length - 1;
        panel = last - Math.min(last, Math.max(0, Math.floor(up)));
      }
      let best = null;
      let least = Infinity;
      for (const i of this.drawn) {
        const dx = this.x[i] === undefined ? 0 : this.x[i] - x;
        const dy = this.y[i] === undefined ? 0 : this.y[i] + this.panelBase(panel) - y;
        if (dx * dx + dy * dy < least) {
          least = dx * dx + dy * dy;
          best = i;
        }
      }
      return best === null ? null : {row: best, panel};
    }

    // The next row in a direction of the arrow keys, or the same where there is none.
    next(at, right, up) {
      const here = [this.x[at.row], this.y[at.row]];
      const along = right !== 0 && here[0] !== undefined || here[1] === undefined ? 0 : 1;
      const sign = along === 0 ? right || up : -(up || right);
      const places = along === 0 ? this.x : this.y;
      const across = along === 0 ? this.y : this.x;
      const grid = across[at.row] !== undefined;
      let best = at.row;
      let least = Infinity;
      for (const i of this.drawn) {
        const ahead = (places[i] - places[at.row]) * sign;
        const beside = grid ? Math.abs(across[i] - across[at.row]) : 0;
        if (ahead > 1e-9 && ahead + 1e3 * beside < least) {
          least = ahead + 1e3 * beside;
          best = i;
        }
      }
      if (best !== at.row && !(grid && this.panel && least > 1e3)) {
        return {row: best, panel: at.panel};
      }
      return this.nextPanel(at, along === 1 ? up : 0);
    }

    nextPanel(at, up) {
      const panel = at.panel - up;
      if (!this.panel || up === 0 || panel < 0 || panel >= this.data.series.length) {
        return at;
      }
      const edge = this.drawn.filter((i) => this.x[i] === this.x[at.row])
        .sort((a, b) => (this.y[b] - this.y[a]) * up);
      return {row: edge[0], panel};
    }

    end(at, last) {
      const places = this.x[at.row] === undefined ? this.y : this.x;
      const level = this.drawn.filter((i) => places === this.y || this.y[i] === this.y[at.row]);
      const sorted = level.sort((a, b) => places[a] - places[b]);
      return {row: sorted[last ? sorted.length - 1 : 0], panel: at.panel};
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
        parts.push(typeof name === "string" ? name : says(this.spec.name) + number(name));
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
      this.data.columns.forEach((column, at) => {
        const suffix = column.startsWith(name + ":") ? column.slice(name.length + 1) : "";
        if (suffix !== "" && !["min", "max", "low", "high", "plans", "mean"].includes(suffix)) {
          texts.push(suffix.replace(/_/g, " ") + " " + number(row[at]));
        }
      });
      const plans = of("plans");
      if (plans) {
        texts.push(plans === 1 ? "a plan" : plans + " plans");
      }
      return texts.length === 0 ? "" : " " + texts.join(" ");
    }

    // [{text, colour, here}] of a row.
    values(row, panel) {
      const has = (name) => this.data.columns.some((column) => column.split(":")[0] === name);
      const series = this.data.series.filter(([name]) => has(name));
      if (series.length > 0) {
        return series.map(([name, colour], i) => {
          const plain = this.data.columns.includes(name);
          const value = this.value(row, plain ? name : name + ":mean");
          return {
            text: name + " " + number(value) + this.further(row, name),
            colour,
            here: this.panel > 0 && i === panel,
          };
        });
      }
      const told = Object.values(this.spec);
      return this.data.columns.map((column, at) => ({column, at}))
        .filter(({column}) => !told.includes(column))
        .map(({column, at}) => ({text: column.replace(/_/g, " ") + " " + number(row[at]), here: false}));
    }

    // Where lines meet the row: points in the drawing, with the series' colours.
    points(row, i) {
      if ((this.x[i] === undefined) === (this.y[i] === undefined)) {
        return [];
      }
      const [left, right, bottom, top] = this.data.plot;
      const height = this.data.size[1];
      return this.data.series.map(([name, colour]) => {
        const plain = this.data.columns.includes(name);
        const value = this.value(row, plain ? name : name + ":mean");
        const x = this.x[i] === undefined ? this.toX(value) : this.x[i];
        const y = this.y[i] === undefined ? this.toY(value) : this.y[i];
        return {x, y, colour, value};
      }).filter((at) => at.value !== null && at.x >= left - 1 && at.x <= right + 1 &&
                        at.y <= height - bottom + 1 && at.y >= height - top - 1);
    }
  }

  // One figure with its read-out: pointer, touch and arrow keys.
  class Readout {
    constructor(figure) {
      this.rows = new Rows(JSON.parse(figure.querySelector("script").textContent));
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
        "aria-valuemax": String(this.rows.data.rows.length),
      })) {
        this.plot.setAttribute(key, value);
      }
      this.text.hidden = false;
      this.listen();
      this.clear();
    }

    listen() {
      const point = (event) => {
        const box = this.svg.getBoundingClientRect();
        const [width, height] = this.rows.data.size;
        this.show(this.rows.nearest((event.clientX - box.left) / box.width * width,
                                    (event.clientY - box.top) / box.height * height));
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
          this.show(this.first());
        }
      });
      this.plot.addEventListener("blur", () => this.clear());
      this.plot.addEventListener("keydown", (event) => this.press(event));
    }

    first() {
      return this.rows.drawn.length === 0 ? null : {row: this.rows.drawn[0], panel: 0};
    }

    press(event) {
      const moves = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
      const at = this.at || this.first();
      if (at === null || event.ctrlKey || event.altKey || event.metaKey) {
        return;
      }
      if (event.key === "Escape") {
        this.clear();
      } else if (event.key === "Home" || event.key === "End") {
        this.show(this.rows.end(at, event.key === "End"));
      } else if (event.key === "PageUp" || event.key === "PageDown") {
        let to = at;
        for (let i = 0; i < 10; i++) {
          to = this.rows.next(to, event.key === "PageUp" ? 1 : -1, 0);
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
      if (at === null || (this.at !== null && at.row === this.at.row && at.panel === this.at.panel)) {
        return;
      }
      const row = this.rows.data.rows[at.row];
      const values = this.rows.values(row, at.panel);
      this.at = at;
      this.text.replaceChildren();
      element(this.text, "b", {}).textContent = this.rows.where(row);
      for (const {text, colour, here} of values) {
        const span = element(this.text, "span", here ? {class: "here"} : {});
        if (colour) {
          const swatch = element(span, "svg", {viewBox: "0 0 10 10", "aria-hidden": "true"}, SVG);
          element(swatch, "circle", {cx: 5, cy: 5, r: 5, fill: colour, stroke: "currentColor", "stroke-width": 0.5}, SVG);
        }
        span.append(text);
      }
      this.plot.setAttribute("aria-valuenow", String(at.row + 1));
      this.plot.setAttribute("aria-valuetext",
                             this.rows.where(row) + ": " + values.map(({text}) => text).join(", "));
      this.draw(row, at);
    }

    draw(row, at) {
      const [left, right, bottom, top] = this.rows.data.plot;
      const height = this.rows.data.size[1];
      const x = this.rows.x[at.row];
      const y = this.rows.y[at.row] === undefined
        ? undefined : this.rows.y[at.row] + this.rows.panelBase(at.panel);
      this.mark.replaceChildren();
      if (x !== undefined && y !== undefined) {
        element(this.mark, "path", {d: `M${x - 4},${y} h8 M${x},${y - 4} v8`}, SVG);
      } else if (x !== undefined) {
        element(this.mark, "path", {d: `M${x},${height - bottom} V${height - top}`}, SVG);
      } else if (y !== undefined) {
        element(this.mark, "path", {d: `M${left},${y} H${right}`}, SVG);
      }
      for (const point of this.rows.points(row, at.row)) {
        element(this.mark, "circle", {cx: point.x, cy: point.y, r: 1.9, fill: point.colour}, SVG);
      }
    }

    clear() {
      this.at = null;
      this.mark.replaceChildren();
      this.text.textContent = "For values, point at the figure, or focus it and use the arrow keys.";
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

  for (const figure of document.querySelectorAll("figure")) {
    if (figure.querySelector("script") !== null) {
      new Readout(figure);
    }
  }
  for (const button of document.querySelectorAll("button[data-copies]")) {
    setUpCopy(button);
  }
})();
