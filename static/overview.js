"use strict";

// Counts the callers of many sessions once the page is there. Without it, a link counts them.
for (const figure of document.querySelectorAll("[data-callers]")) {
    const value = figure.querySelector(".value");
    const link = value.firstElementChild;
    link.textContent = "…";
    fetch(figure.dataset.callers)
        .then(response => response.ok ? response.json() : Promise.reject(new Error(response.statusText)))
        .then(found => {
            link.textContent = found.value;
            link.href = found.address;
            figure.querySelector(".change").textContent = found.change;
        })
        .catch(() => { link.textContent = "Count"; });
}
