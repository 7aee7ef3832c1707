"use strict";
document.documentElement.classList.add("scripted");

// Numbers under a pointer, or under the arrow keys, of the learning curves.
const readouts = JSON.parse(document.getElementById("readouts").textContent);
for (const figure of document.querySelectorAll("[data-readout]")) {
  const found = readouts[figure.dataset.readout];
  if (found) followPointer(figure, found);
}

function followPointer(figure, { panels, heads, columns }) {
  const svg = figure.querySelector("svg");
  const line = figure.querySelector(".readout");
  const epochs = columns[0].map(Number);
  const crosses = panels.map(() => {
    const cross = document.createElementNS(svg.namespaceURI, "line");
    cross.setAttribute("class", "cross");
    cross.setAttribute("visibility", "hidden");
    svg.append(cross);
    return cross;
  });
  line.textContent = "Point at the curves, or use the arrow keys, to read the numbers.";
  let place = epochs.length - 1;
  const show = (wanted) => {
    place = Math.max(0, Math.min(epochs.length - 1, wanted));
    panels.forEach(([left, top, right, bottom, first, last], i) => {
      const x = left + ((epochs[place] - first) / (last - first)) * (right - left);
      const ends = { x1: x, x2: x, y1: top, y2: bottom, visibility: "visible" };
      for (const [name, value] of Object.entries(ends)) crosses[i].setAttribute(name, value);
    });
    line.textContent = heads.map((head, i) => `${head} ${columns[i][place]}`).join(", ");
  };
  svg.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const panel = panels.find(([left, , right]) => at.x >= left - 5 && at.x <= right + 5);
    if (!panel) return;
    const [left, , right, , first, last] = panel;
    const epoch = first + ((at.x - left) / (right - left)) * (last - first);
    let nearest = 0;
    epochs.forEach((e, i) => {
      if (Math.abs(e - epoch) < Math.abs(epochs[nearest] - epoch)) nearest = i;
    });
    show(nearest);
  });
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: epochs.length - 1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(steps[event.key]);
  });
}

// A cell of the confusion matrix chooses the examples below it.
for (const table of document.querySelectorAll(".confusion")) chooseByCell(table);

function chooseByCell(table) {
  const cells = [...table.querySelectorAll("td[data-true]")].filter((cell) => cell.textContent !== "0");
  const width = new Set(cells.map((cell) => cell.dataset.true)).size;
  const gallery = galleryOf(table.dataset.examples);
  const buttons = cells.map((cell, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = cell.textContent;
    const { true: truth, predicted } = cell.dataset;
    button.setAttribute("aria-label", `true ${truth}, answer ${predicted}: ${cell.textContent}`);
    button.setAttribute("aria-pressed", "false");
    button.tabIndex = i ? -1 : 0;
    cell.replaceChildren(button);
    button.addEventListener("click", () => {
      const chosen = button.getAttribute("aria-pressed") === "true";
      buttons.forEach((one) => one.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(!chosen));
      gallery.show(chosen ? null : { truth, predicted, count: Number(button.textContent) });
    });
    return button;
  });
  gallery.onreset = () => buttons.forEach((one) => one.setAttribute("aria-pressed", "false"));
  table.addEventListener("keydown", (event) => {
    const own = event.target.closest("td");
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!own || !(event.key in moves) || !width) return;
    event.preventDefault();
    const [down, right] = moves[event.key];
    const rows = [...table.tBodies[0].rows];
    let [row, column] = [own.parentElement.rowIndex - 1 + down, own.cellIndex + right];
    for (; rows[row] && rows[row].cells[column]; row += down, column += right) {
      const next = rows[row].cells[column].querySelector("button");
      if (!next) continue;
      buttons.forEach((one) => (one.tabIndex = -1));
      next.tabIndex = 0;
      next.focus();
      return;
    }
  });
}

for (const list of document.querySelectorAll(".examples")) galleryOf(list.id);

function galleryOf(id) {
  const list = document.getElementById(id);
  if (list.gallery) return list.gallery;
  const status = document.querySelector(`[data-of="${id}"]`);
  const items = [...list.children];
  const button = (text, action) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "plain";
    made.textContent = text;
    made.addEventListener("click", action);
    return made;
  };
  const gallery = {
    onreset: () => {},
    show(chosen, all = false) {
      const wanted = (item) =>
        chosen
          ? item.dataset.true === chosen.truth && item.dataset.predicted === chosen.predicted
          : all || !item.classList.contains("more");
      items.forEach((item) => (item.hidden = !wanted(item)));
      const count = items.filter((item) => !item.hidden).length;
      if (chosen) {
        const of = `${count} of ${chosen.count} of class ${chosen.truth}, answer ${chosen.predicted}`;
        status.replaceChildren(count ? of : `${of}: none is among the worst`, button("all classes", reset));
      } else if (count < items.length) {
        status.replaceChildren(
          `The ${count} worst of all.`, button(`show ${items.length}`, () => gallery.show(null, true)),
        );
      } else status.replaceChildren(items.length > count ? "" : `${count} samples.`);
    },
  };
  const reset = () => {
    gallery.onreset();
    gallery.show(null);
  };
  list.gallery = gallery;
  gallery.show(null);
  return gallery;
}

// Lines to copy.
for (const pre of document.querySelectorAll("pre[data-copy]")) {
  if (!navigator.clipboard) break; // a browser gives none to some pages
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "copy";
  button.setAttribute("aria-label", `copy: ${pre.dataset.copy}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(pre.textContent);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 1500);
  });
  pre.after(button);
}

// What is folded is on paper too, and opens for a link into it.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((one) => (one.open = true));
});
addEventListener("afterprint", () => folded.forEach((one) => (one.open = false)));
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
};
addEventListener("hashchange", unfold);
unfold();

// Where the reader is.
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    links.forEach((link) => link.removeAttribute("aria-current"));
    links.get(target.id).setAttribute("aria-current", "true");
  }
}, { rootMargin: "0px 0px -80% 0px" });
links.forEach((_, id) => document.getElementById(id) && seen.observe(document.getElementById(id)));
