"use strict";

// Copies what stands beside a button. Without it there is no button, and the text can be selected.
document.documentElement.classList.add("copies");

const selected = element => {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
};

document.addEventListener("click", async event => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const words = button.firstChild;
    try {
        await navigator.clipboard.writeText(button.dataset.copy);
        words.textContent = "Copied";
    } catch {
        // Over plain http a browser has no clipboard to give: the text is selected, for the keyboard to copy.
        selected(button.parentElement.querySelector("code"));
        words.textContent = "Selected";
    }
    setTimeout(() => { words.textContent = "Copy"; }, 2000);
});
