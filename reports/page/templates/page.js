"use strict";
(function () {
  var keys = JSON.parse(document.getElementById("keys").textContent);
  var cells = document.getElementById("keys").dataset.cells;

  function value(row, column) {
    var cell = row.cells[column];
    var number = parseFloat(cell.dataset.v);
    return isNaN(number) ? cell.textContent.trim().toLowerCase() : number;
  }

  function compare(a, b) {
    var na = typeof a === "number", nb = typeof b === "number";
    if (na && nb) { return a - b; }
    if (na !== nb) { return na ? -1 : 1; }
    return a < b ? -1 : a > b ? 1 : 0;
  }

  function sort(button) {
    var head = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
    var down = head.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th[aria-sort]").forEach(function (th) { th.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    var rows = Array.from(body.rows).map(function (row) { return [value(row, head.cellIndex), row]; });
    rows.sort(function (x, y) { return (down ? -1 : 1) * compare(x[0], y[0]); });
    rows.forEach(function (pair) { body.appendChild(pair[1]); });
  }

  function filter(input) {
    var table = document.getElementById(input.dataset.table), shown = 0;
    var words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    Array.from(table.tBodies[0].rows).forEach(function (row) {
      var text = row.textContent.toLowerCase();
      row.hidden = !words.every(function (word) { return text.includes(word); });
      shown += row.hidden ? 0 : 1;
    });
    input.closest(".filter").querySelector("output").textContent = shown + " rows";
  }

  function place(key) {
    var cell = !key.includes("/"), made = document.createElement(cell && cells ? "a" : "span");
    made.textContent = cell ? "cells/" + key + ".json" : key;
    if (cell && cells) { made.href = cells + "/" + key + ".html"; }
    return made;
  }

  function trace(button) {
    var list = document.getElementById("records-list"), about = document.getElementById("records-about");
    list.textContent = about.textContent = "";
    if (button.dataset.about) {
      about.appendChild(document.getElementById(button.dataset.about).content.cloneNode(true));
    }
    if (!button.dataset.k) { document.getElementById("records").showModal(); return; }
    button.dataset.k.split(",").forEach(function (range) {
      var ends = range.split("-").map(Number);
      for (var i = ends[0]; i <= ends[ends.length - 1]; i += 1) {
        var item = document.createElement("li");
        item.appendChild(place(keys[i]));
        list.appendChild(item);
      }
    });
    document.getElementById("records").showModal();
  }

  function choose() {
    var picked = {};
    document.querySelectorAll("select[data-choose]").forEach(function (select) { picked[select.dataset.choose] = select.value; });
    document.querySelectorAll(".view").forEach(function (view) {
      view.hidden = Object.keys(picked).some(function (kind) { return view.dataset[kind] !== picked[kind]; });
    });
  }

  function unfold() {
    var target = document.getElementById(location.hash.slice(1)), fold = target && target.closest("details");
    if (fold && !fold.open) { fold.open = true; target.scrollIntoView(); }
  }

  var tip = document.getElementById("tip"), pointed = null;
  function explain(button) {
    pointed = button;
    tip.hidden = !button;
    if (!button) { return; }
    tip.textContent = document.getElementById(button.getAttribute("aria-describedby")).textContent;
    var at = button.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(at.left, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = (at.top > tip.offsetHeight + 8 ? at.top - tip.offsetHeight - 4 : at.bottom + 4) + "px";
  }
  ["mouseover", "focusin"].forEach(function (kind) {
    document.addEventListener(kind, function (event) { explain(event.target.closest(".sort[aria-describedby]")); });
  });
  document.addEventListener("scroll", function () { explain(pointed); }, true);
  document.addEventListener("keydown", function (event) { if (event.key === "Escape") { explain(null); } });

  var unprinted = [];
  addEventListener("beforeprint", function () {
    unprinted = Array.from(document.querySelectorAll("details.printed:not([open])"));
    unprinted.forEach(function (fold) { fold.open = true; });
  });
  addEventListener("afterprint", function () { unprinted.forEach(function (fold) { fold.open = false; }); });
  addEventListener("hashchange", unfold);
  unfold();

  document.addEventListener("click", function (event) {
    if (event.target.closest("a[href^='#']")) { setTimeout(unfold); }
    var button = event.target.closest("button");
    if (!button) { return; }
    if (button.matches(".sort")) { sort(button); }
    if (button.matches(".trace, .gain")) { trace(button); }
    if (button.id === "records-close") { document.getElementById("records").close(); }
    if (button.id === "theme") {
      var dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
        (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
      document.documentElement.dataset.theme = dark ? "light" : "dark";
    }
  });
  document.addEventListener("change", function (event) {
    if (event.target.matches("select[data-choose]")) { choose(); }
  });
  document.addEventListener("input", function (event) {
    if (event.target.matches(".filter input")) { filter(event.target); }
  });
})();
