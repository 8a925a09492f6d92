"use strict";

// Counts the callers of many sessions once the page is there. Without it, a link counts them.
for (const figure of document.querySelectorAll("[data-callers]")) {
    const value = figure.querySelector(".value");
    const link = value.firstElementChild;
    link.textContent = "…";
    fetch(figure.dataset.callers)
        .then(response => response.ok ? response.json() : Promise.reject(new Error(response.statusText)))
        .then(found => {
            value.textContent = found.value;
            figure.querySelector(".change").textContent = found.change;
        })
        .catch(() => { link.textContent = "Count"; });
}
