/* Refreshes the live page by itself: fetches its changing part, keeps focus and scrolling, rests while hidden. A part
   that comes without seconds changes no more. */
"use strict";

(() => {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  const seconds = Number(live.dataset.seconds);
  const status = document.querySelector("[data-live-status]");
  const pause = document.querySelector("[data-live-pause]");
  let timer = null;
  let isPaused = false;
  let isWhole = false;

  const wait = () => {
    clearTimeout(timer);
    if (!isPaused && !isWhole && !document.hidden) timer = setTimeout(refresh, seconds * 1000);
  };

  const focused = () => {
    const element = document.activeElement;
    return element && live.contains(element) ? element.getAttribute("data-key") : null;
  };

  const show = html => {
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-live]");
    if (!fresh) throw new Error("no live part");
    isWhole = !fresh.dataset.seconds;
    for (const waiting of document.querySelectorAll("[data-live-until-whole]")) waiting.hidden = isWhole;
    const key = focused();
    const scrolls = [...live.querySelectorAll("[data-key]")].map(box => [box.dataset.key, box.scrollLeft, box.scrollTop]);
    const open = [...live.querySelectorAll("details[open] > summary")].map(summary => summary.textContent);
    live.replaceChildren(...fresh.childNodes);
    for (const summary of live.querySelectorAll("details > summary")) {
      if (open.includes(summary.textContent)) summary.parentElement.open = true;
    }
    for (const [name, left, top] of scrolls) {
      const box = live.querySelector(`[data-key="${CSS.escape(name)}"]`);
      if (box) { box.scrollLeft = left; box.scrollTop = top; }
    }
    if (key) {
      const element = live.querySelector(`[data-key="${CSS.escape(key)}"]`);
      if (element) element.focus({ preventScroll: true });
    }
  };

  const refresh = async () => {
    try {
      const answer = await fetch(live.dataset.live, { credentials: "same-origin", headers: { Accept: "text/html" } });
      if (answer.redirected) {
        // To the sign-in page, which nothing but a new page can show.
        status.textContent = "You are signed out. Reload this page to sign in again.";
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      show(await answer.text());
      status.textContent = isWhole ? "Done." : "Refreshes by itself.";
    } catch {
      status.textContent = "Frontdesk does not answer; what you see may be old. Trying again.";
    }
    wait();
  };

  status.textContent = "Refreshes by itself.";
  for (const waiting of [status, pause]) waiting.classList.remove("waiting");
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Resume" : "Pause";
    status.textContent = isPaused ? "Paused." : "Refreshes by itself.";
    if (isPaused) clearTimeout(timer); else refresh();
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else if (!isPaused && !isWhole) refresh(); });
  wait();
})();
