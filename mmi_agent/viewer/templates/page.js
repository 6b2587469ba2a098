"use strict";
// Comfort only: the page is whole without it. Arrow keys step through the run, hovering a list entry lights its box.
(() => {
  const stops = [...document.querySelectorAll("article.step")];
  const nav = document.querySelector("nav.steps");

  const current = () => {
    const edge = (nav ? nav.getBoundingClientRect().bottom : 0) + 40;
    const index = stops.findLastIndex((stop) => stop.getBoundingClientRect().top <= edge);
    return index;
  };

  const show = (index) => {
    const stop = stops[Math.max(0, Math.min(stops.length - 1, index))];
    if (!stop) return;
    history.replaceState(null, "", `#${stop.id}`);
    stop.scrollIntoView({ behavior: "instant", block: "start" });
    mark();
  };

  const mark = () => {
    const stop = stops[Math.max(0, current())];
    for (const link of nav ? nav.querySelectorAll("a") : []) {
      const here = stop && link.getAttribute("href") === `#${stop.id}`;
      link.toggleAttribute("aria-current", here);
    }
  };

  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
    const by = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[event.key];
    if (by && stops.length) { event.preventDefault(); show(current() + by); }
    if (event.key === "Home" && stops.length) { event.preventDefault(); scrollTo(0, 0); }
    if (event.key === "End" && stops.length) { event.preventDefault(); show(stops.length - 1); }
  });

  const light = (event, on) => {
    const entry = event.target.closest && event.target.closest("[data-mark]");
    const box = entry && document.getElementById(entry.dataset.mark);
    if (box) { box.classList.toggle("lit", on); if (on) box.parentNode.append(box); }
  };
  addEventListener("mouseover", (event) => light(event, true));
  addEventListener("mouseout", (event) => light(event, false));
  addEventListener("focusin", (event) => light(event, true));
  addEventListener("focusout", (event) => light(event, false));
  addEventListener("scroll", mark, { passive: true });
  mark();
})();
