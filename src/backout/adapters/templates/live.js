"use strict";
// What the server shows anew takes the place of what was there; what a reader opened stays open.
(() => {
  const main = document.querySelector("main[data-live]");
  const part = document.querySelector("[data-part]");
  if (!main || !part || !window.EventSource) return;
  const source = new EventSource(main.dataset.live);
  const show = (event) => {
    const html = JSON.parse(event.data);
    if (!html || html === part.dataset.shown) return;
    const opened = [...part.querySelectorAll("details")].map((each) => each.open);
    const at = document.activeElement && part.contains(document.activeElement);
    if (at && document.activeElement.matches("pre")) return;
    part.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    part.querySelectorAll("details").forEach((each, n) => {
      if (opened[n]) each.open = true;
    });
  };
  source.addEventListener("part", show);
  source.addEventListener("over", (event) => {
    show(event);
    source.close();
    main.dataset.over = "yes";
  });
})();
