"use strict";
// What a letter means, beside the pointer: the row of the table of symbols, out of the formula's own title.
const meaning = document.createElement("div");
meaning.id = "meaning";
meaning.hidden = true;
document.body.append(meaning);
for (const math of document.querySelectorAll(".math")) {
  math.dataset.meanings = math.title;
  math.removeAttribute("title");
}
document.addEventListener("pointermove", (event) => {
  const symbol = event.target.closest?.(".symbol");
  const rows = symbol?.closest(".math")?.dataset.meanings.split("\n") ?? [];
  const letter = symbol?.dataset.letter[0];
  const row = rows.find((line) => line.split(":")[0].split(", ").some((name) => name.startsWith(letter)));
  meaning.hidden = !row;
  if (row) {
    meaning.textContent = row;
    const box = symbol.getBoundingClientRect();
    meaning.style.left = `${Math.max(8, Math.min(box.left, innerWidth - meaning.offsetWidth - 8))}px`;
    meaning.style.top = `${box.bottom + 8 + meaning.offsetHeight > innerHeight ? box.top - meaning.offsetHeight - 8 : box.bottom + 8}px`;
  }
});

// Which equation is in view.
const pairs = [...document.querySelectorAll(".chapter .pair")];
const seen = new IntersectionObserver(
  (entries) => entries.forEach((e) => e.target.classList.toggle("now", e.isIntersecting)),
  { rootMargin: "-25% 0px -60% 0px" },
);
pairs.forEach((pair) => seen.observe(pair));

// Keys: j and k to the next and the last equation, the arrows to the next and the last chapter, / to the search.
const field = document.querySelector("#search") && document.createElement("input");
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|PRE/.test(event.target.tagName)) return;
  const equations = [...document.querySelectorAll(".equation, .entry:not([hidden]), .source h2")];
  const top = (element) => element.getBoundingClientRect().top - 60;
  const to = { j: equations.find((e) => top(e) > 5), k: equations.findLast((e) => top(e) < -5) }[event.key];
  if (to) to.scrollIntoView();
  const page = document.querySelector({ ArrowRight: "[rel=next]", ArrowLeft: "[rel=prev]" }[event.key] ?? "none");
  if (page && !event.target.closest(".scroll")) page.click();
  if (event.key === "/" && field) {
    event.preventDefault();
    field.focus();
  }
});

// The search of the index: every word has to be found somewhere in the entry.
if (field) {
  const entries = [...document.querySelectorAll(".entry")].map((entry) => [entry, entry.textContent.toLowerCase()]);
  field.type = "search";
  field.placeholder = "label, name, function or test";
  field.setAttribute("aria-label", "search the equations");
  document.querySelector("#search").prepend(field);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const [entry, text] of entries) entry.hidden = !words.every((word) => text.includes(word));
  });
}
