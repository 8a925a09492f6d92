"use strict";
// Names for Django's own boxes to choose from, which say what is chosen and not of which field it is.

{
  const $ = django.jQuery;
  let given = 0;

  function nameOf(select) {
    const column = `column-${select.name.split("-").pop()}`;
    const name = select.labels[0] || select.closest("table")?.getElementsByClassName(column)[0];
    if (name && !name.id) name.id = `choice-name-${++given}`;
    return name?.id || "";
  }

  function nameBoxes(root) {
    for (const select of root.querySelectorAll("select.select2-hidden-accessible")) {
      const name = nameOf(select);
      const box = select.nextElementSibling;
      const chosen = box.querySelector(".select2-selection__rendered");
      if (chosen.getAttribute("role") === "textbox") {
        chosen.setAttribute("aria-labelledby", name);
        box.querySelector(".select2-selection").setAttribute("aria-labelledby", `${name} ${chosen.id}`);
      }
      box.querySelector(".select2-search__field")?.setAttribute("aria-labelledby", name);
    }
    // A picture with words, where Django says so of a text.
    for (const icon of root.querySelectorAll(".search-label-icon")) icon.setAttribute("role", "img");
  }

  // Asked last, once the boxes are there.
  $(() => nameBoxes(document));
  window.addEventListener("load", () => nameBoxes(document));
  document.addEventListener("formset:added", event => setTimeout(() => nameBoxes(event.target)));
  $(document).on("select2:open", event => {
    const search = document.querySelector(".select2-container--open .select2-search__field");
    search?.setAttribute("aria-labelledby", nameOf(event.target));
  });
}
