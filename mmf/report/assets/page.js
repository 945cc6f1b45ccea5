"use strict";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const touched = window.matchMedia("(pointer: coarse)").matches;
const NARROW = 560;
const CLEAR = "rgba(0,0,0,0)";

function colours() {
  return dark.matches
    ? { text: "#e4e6eb", grid: "#343941", back: "#1f2226" }
    : { text: "#1c1e21", grid: "#e1e4e8", back: "#ffffff" };
}

function layoutOf(figure, isNarrow) {
  const { text, grid, back } = colours();
  const given = figure.layout;
  const layout = { ...given, paper_bgcolor: CLEAR, plot_bgcolor: CLEAR, font: { family: "system-ui, sans-serif", color: text, size: isNarrow ? 11 : 13 } };
  layout.modebar = { bgcolor: CLEAR, color: text };
  layout.hoverlabel = { bgcolor: back, bordercolor: grid, font: { color: text }, ...given.hoverlabel };
  layout.margin = { t: 30, r: isNarrow ? 8 : 24, l: isNarrow ? 8 : 40, b: 30, ...given.margin };
  layout.legend = { orientation: "h", x: 0, y: 1, yanchor: "bottom", xanchor: "left", traceorder: "normal", ...given.legend };
  layout.uniformtext = { minsize: 9, mode: "hide", ...given.uniformtext };
  // a finger scrolls the page; with a mouse one draws a box to zoom
  if (touched) layout.dragmode = false;
  const axes = Object.keys(given).filter((name) => /^[xy]axis/.test(name));
  for (const name of new Set([...axes, "xaxis", "yaxis"])) {
    layout[name] = { gridcolor: grid, zerolinecolor: grid, automargin: true, ...given[name] };
    if (isNarrow && name.startsWith("x") && layout[name].type !== "category") layout[name].nticks = Math.min(layout[name].nticks || 5, 5);
  }
  return layout;
}

function traces(figure, isNarrow) {
  return !isNarrow ? figure.data : figure.data.map((trace) =>
    trace.colorbar ? { ...trace, colorbar: { ...trace.colorbar, thickness: 8, title: { text: "" } } } : trace);
}

function draw(holder) {
  const chart = holder.querySelector(".chart");
  const figure = JSON.parse(holder.querySelector("script").textContent);
  const isNarrow = chart.clientWidth < NARROW;
  const config = { responsive: true, displaylogo: false, displayModeBar: touched ? false : "hover" };
  Plotly.react(chart, traces(figure, isNarrow), layoutOf(figure, isNarrow), config);
  holder.dataset.drawn = isNarrow ? "narrow" : "wide";
}

const holders = [...document.querySelectorAll("section.holder")];
const near = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting && !one.target.dataset.drawn)) draw(entry.target);
}, { rootMargin: "400px" });
holders.forEach((holder) => near.observe(holder));

// the rest one by one, while nothing else is to be done: for printing, and so that scrolling never waits
const later = window.requestIdleCallback || ((work) => setTimeout(work, 50));
function drawNext() {
  const next = holders.find((holder) => !holder.dataset.drawn);
  if (!next) return;
  draw(next);
  later(drawNext);
}
window.addEventListener("load", () => later(drawNext));
dark.addEventListener("change", () => holders.filter((holder) => holder.dataset.drawn).forEach(draw));
