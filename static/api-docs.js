"use strict";

// Swagger UI has a dark look but leaves the choice to the page.
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", prefersDark.matches);
prefersDark.addEventListener("change", followScheme);
followScheme();
