// Charts are drawn by Plotly when they come into view. Plotly is unpacked then, or earlier if the browser has time.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
document.documentElement.classList.add("scripted");

const charts = (() => {
  const drawn = new Set();
  let loading = null;

  // Plotly is in the page as gzip in base64. Compiling it takes longer than opening all the rest, so the rest comes first.
  function plotly() {
    loading = loading || (async () => {
      const text = atob(document.getElementById("plotly").textContent);
      const packed = new Uint8Array(text.length);
      for (let at = 0; at < text.length; at += 1) {
        packed[at] = text.charCodeAt(at);  // several times as fast as Uint8Array.from
      }
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      const script = document.createElement("script");
      script.textContent = await new Response(stream).text();
      document.head.append(script);
      return window.Plotly;
    })();
    return loading;
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const SIDES = ["reference", "candidate"];
  const dash = { reference: "solid", candidate: "dash" };

  function line(side, x, y, more = {}) {
    return { type: "scatter", mode: "lines", name: side, x, y, line: { color: colour(side), dash: dash[side], width: 2 }, ...more };
  }

  // Where a count grew: the point, and by how much.
  function grown(pace, name, symbol, tint) {
    const at = pace[name].map((count, i) => count - (i ? pace[name][i - 1] : 0));
    const where = at.map((count, i) => (count > 0 ? i : -1)).filter((i) => i >= 0);
    const most = Math.max(1, ...at);
    return {
      type: "scatter", mode: "markers", name, x: where.map((i) => pace.time[i]), y: where.map((i) => pace.operations[i]),
      text: where.map((i) => `${at[i].toLocaleString("en")} more ${name}`), hoverinfo: "text+x+y",
      marker: { symbol, color: colour(tint), size: where.map((i) => 7 + 9 * Math.sqrt(at[i] / most)), line: { width: 1.5, color: colour(tint) } },
    };
  }

  const figures = {
    pace: (run) => ({
      x: "seconds",
      traces: [
        { type: "scatter", mode: "lines", name: "operations", x: run.pace.time, y: run.pace.operations, line: { color: colour("ink"), width: 2 } },
        grown(run.pace, "corruption", "x-thin-open", "bad"), grown(run.pace, "behaviour", "diamond-open", "warn"),
      ].filter((trace) => trace.x.length),
    }),
    rate: (run, pool) => ({
      x: "operations", axis: { tickformat: ".0%", rangemode: "tozero" },
      traces: SIDES.map((side) => line(side, run.operations, run.pools[pool].rate[side], { connectgaps: true })),
    }),
    length: (run, pool) => ({
      x: "operations", axis: { rangemode: "tozero" }, limit: run.pools[pool].slots,
      traces: SIDES.map((side) => line(side, run.operations, run.pools[pool].length[side])),
    }),
    evictions: (run, pool) => ({
      x: "operations", axis: { rangemode: "tozero" },
      traces: SIDES.map((side) => line(side, run.operations, run.pools[pool].evictions[side])),
    }),
    latency: (run, kind) => ({
      x: "nanoseconds, logarithmic", log: true, axis: { tickformat: ".0%", rangemode: "tozero" },
      traces: SIDES.filter((side) => run.latencies[kind][side]).map((side) => {
        const buckets = run.latencies[kind][side];
        return line(side, buckets.map((each) => each[0]), buckets.map((each) => each[1]), { fill: "tozeroy", line: { color: colour(side), dash: dash[side], width: 2, shape: "hvh" } });
      }),
    }),
    memory: (run) => ({
      x: "seconds", axis: { rangemode: "tozero" },
      traces: [
        { type: "scatter", mode: "lines", name: "process", x: run.time, y: run.resident, line: { color: colour("ink"), width: 2 } },
        ...SIDES.map((side) => line(side, run.time, run.held[side], { name: `${side} reports` })),
      ],
    }),
  };

  async function draw(element) {
    const Plotly = await plotly();
    const run = data.charts[Number(element.dataset.run)];
    const figure = figures[element.dataset.chart](run, element.dataset.option);
    const ink = { color: colour("ink"), family: "system-ui, sans-serif", size: 12 };
    const axis = { gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, automargin: true, fixedrange: matchMedia("(pointer: coarse)").matches };
    const layout = {
      font: ink, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", height: 272,
      margin: { l: 8, r: 8, t: 8, b: 8 }, showlegend: true, legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom" },
      xaxis: { ...axis, title: { text: figure.x }, type: figure.log ? "log" : "linear" },
      yaxis: { ...axis, ...(figure.axis || {}) },
      hoverlabel: { namelength: -1 }, uirevision: element.dataset.option,
    };
    if (figure.limit) {
      layout.shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: figure.limit, y1: figure.limit, line: { color: colour("faint"), dash: "dot", width: 1 } }];
      layout.annotations = [{ xref: "paper", x: 1, y: figure.limit, xanchor: "right", yanchor: "bottom", showarrow: false, text: `${figure.limit.toLocaleString("en")} slots`, font: { ...ink, color: colour("faint") } }];
    }
    await Plotly.react(element, figure.traces, layout, { responsive: true, displayModeBar: false });
    if (element.dataset.option && element.dataset.chart !== "latency") {
      const last = (values) => values.filter((each) => each !== null).at(-1);
      const ends = SIDES.map((side) => `${side} ${last(run.pools[element.dataset.option][element.dataset.chart][side]) ?? "unknown"}`);
      element.setAttribute("aria-label", `${element.dataset.title} of ${element.dataset.option}: ${ends.join(", ")} at the end`);
    }
    element.dataset.drawn = "yes";
    drawn.add(element);
  }

  function fail(element) {
    return (error) => {
      element.textContent = `This chart could not be drawn (${error.message}); its numbers are in the table.`;
    };
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        seen.unobserve(entry.target);
        draw(entry.target).catch(fail(entry.target));
      }
    }
  }, { rootMargin: "300px" });
  for (const element of document.querySelectorAll(".plot")) {
    seen.observe(element);
  }
  if (document.querySelector(".plot")) {
    (window.requestIdleCallback || setTimeout)(() => plotly().catch(() => {}));  // each chart reports its failure
  }
  for (const select of document.querySelectorAll("[data-pools]")) {
    select.addEventListener("change", () => {
      for (const element of document.querySelectorAll(`.plot[data-run="${select.dataset.pools}"]`)) {
        if (["rate", "length", "evictions"].includes(element.dataset.chart)) {
          element.dataset.option = select.value;
          draw(element).catch(fail(element));
        }
      }
    });
  }
  const again = () => drawn.forEach((element) => draw(element).catch(fail(element)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("print").addEventListener("change", again);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
})();
