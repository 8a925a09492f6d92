"use strict";

// Fetches the slow part of a page once the rest is there. Without it, a link in its place shows it.
for (const part of document.querySelectorAll("[data-late]")) {
    const link = part.querySelector("a");
    const words = link.textContent;
    link.textContent = "Counting…";
    fetch(part.dataset.late)
        .then(response => response.ok && !response.redirected ? response.text() : Promise.reject(new Error(response.statusText)))
        .then(html => part.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes))
        .catch(() => { link.textContent = words; });
}
