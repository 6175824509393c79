"use strict";
(function () {
  var config = JSON.parse(document.getElementById("figure-config").textContent);
  var narrow = 700, drawn = new WeakMap(), waiting = [], busy = false;

  function panels(spec, width) {
    var out = Object.assign({}, spec);
    if ("columns" in out) { out.columns = 1; }
    if (typeof out.width === "number") { out.width = width; }
    if (out.spec) { out.spec = panels(out.spec, width); }
    ["layer", "vconcat", "hconcat", "concat"].forEach(function (part) {
      if (out[part]) { out[part] = out[part].map(function (own) { return panels(own, width); }); }
    });
    return out;
  }

  function embed(chart, spec, below) {
    var legend = Object.assign({}, config.legend, below ? { orient: "bottom", columns: 2, layout: { bottom: { direction: "vertical", anchor: "start" } } } : {});
    return window.vegaEmbed(chart.firstElementChild, spec, {
      actions: false, ast: true, renderer: "svg", config: Object.assign({}, config, { legend: legend })
    });
  }

  function excess(chart) { return chart.querySelector("svg").getBoundingClientRect().width - chart.clientWidth; }

  async function draw(chart) {
    var spec = JSON.parse(chart.nextElementSibling.textContent), width = chart.clientWidth;
    if (drawn.has(chart)) { drawn.get(chart).finalize(); }
    var view = await embed(chart, spec, width < narrow);
    for (var attempt = 0; attempt < 2 && excess(chart) > 0; attempt += 1) {
      var room = attempt ? room - excess(chart) : width - 80;
      view.finalize();
      view = await embed(chart, panels(spec, Math.max(room, 120)), width < narrow);
    }
    drawn.set(chart, view);
  }

  async function work() {
    if (busy) { return; }
    busy = true;
    while (waiting.length) { await draw(waiting.shift()); }
    busy = false;
  }

  var widths = new WeakMap();
  var seen = new ResizeObserver(function (entries) {
    entries.forEach(function (entry) {
      var width = entry.target.clientWidth;
      if (width && width !== widths.get(entry.target)) {
        widths.set(entry.target, width);
        if (!waiting.includes(entry.target)) { waiting.push(entry.target); }
      }
    });
    if (!busy) { setTimeout(work); }
  });
  document.querySelectorAll(".chart").forEach(function (chart) { seen.observe(chart); });
})();
