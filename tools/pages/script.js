"use strict";
// Values under the pointer, for every chart of the page; without scripts the pictures still stand.
document.querySelectorAll(".chart").forEach(function (figure) {
  const svg = figure.querySelector("svg[data-plot]");
  if (!svg) return;
  const numbers = function (name) { return svg.getAttribute(name).split(" ").map(Number); };
  const [left, top, right, bottom] = numbers("data-plot"), [low, high] = numbers("data-x");
  const curves = Array.from(svg.querySelectorAll("[data-points]"), function (path) {
    const points = path.dataset.points.trim();
    return {name: path.dataset.name,
            points: points ? points.split(" ").map(function (p) { return p.split(",").map(Number); }) : []};
  });
  const places = Array.from(new Set(curves.flatMap(function (c) {
    return c.points.map(function (p) { return p[0]; });
  }))).sort(function (a, b) { return a - b; });
  if (!places.length) return;
  const tip = document.createElement("div"), cursor = document.createElementNS(svg.namespaceURI, "line");
  tip.className = "tip";
  tip.setAttribute("aria-live", "polite");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", top);
  cursor.setAttribute("y2", bottom);
  let at = -1;
  const hide = function () { tip.remove(); cursor.remove(); at = -1; };
  const show = function (index) {
    at = Math.max(0, Math.min(places.length - 1, index));
    const x = places[at], px = left + (x - low) / (high - low) * (right - left);
    cursor.setAttribute("x1", px);
    cursor.setAttribute("x2", px);
    svg.append(cursor);
    const label = figure.dataset.x || "";
    tip.textContent = [(label + " " + x).trim()].concat(curves.flatMap(function (c) {
      const point = c.points.find(function (p) { return p[0] === x; });
      return point ? [c.name + ": " + point[1]] : [];
    })).join("\n");
    figure.append(tip);
    const room = figure.clientWidth - tip.offsetWidth, wanted = px / svg.viewBox.baseVal.width * figure.clientWidth;
    tip.style.left = Math.max(0, Math.min(room, wanted > figure.clientWidth / 2 ?
      wanted - tip.offsetWidth - 12 : wanted + 12)) + "px";
  };
  const follow = function (event) {
    const box = svg.getBoundingClientRect();
    const px = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const x = low + (px - left) / (right - left) * (high - low);
    let best = 0;
    places.forEach(function (place, i) { if (Math.abs(place - x) < Math.abs(places[best] - x)) best = i; });
    show(best);
  };
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  svg.addEventListener("pointerleave", hide);
  figure.tabIndex = 0;
  figure.addEventListener("blur", hide);
  figure.addEventListener("keydown", function (event) {
    if (event.key === "ArrowRight") show(at + 1);
    else if (event.key === "ArrowLeft") show(at < 0 ? places.length - 1 : at - 1);
    else if (event.key === "Escape") hide();
    else return;
    event.preventDefault();
  });
});
