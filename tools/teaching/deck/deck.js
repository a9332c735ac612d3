// Arrow keys, space, Page Up and Down, Home, End move; n shows what the speaker says; f fills the screen.
"use strict";

const slides = [...document.querySelectorAll("section")];
for (const step of document.querySelectorAll(".step")) step.classList.add("hidden");
let now = 0;

/** Make the text of a slide smaller until it fits; on a phone it scrolls. */
function fit(slide) {
  const box = slide.querySelector(".slide");
  box.style.setProperty("--fit", 1);
  if (innerWidth < 720) return;
  for (let size = 1; size > 0.55 && (box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1); size -= 0.05) {
    box.style.setProperty("--fit", size);
  }
}

function show(number, opened) {
  now = Math.max(0, Math.min(slides.length - 1, number));
  for (const [at, slide] of slides.entries()) slide.classList.toggle("now", at === now);
  for (const step of slides[now].querySelectorAll(".step")) step.classList.toggle("hidden", !opened);
  document.querySelector("#place").textContent = `${now + 1} / ${slides.length}`;
  history.replaceState(null, "", `#s${now + 1}`);
  fit(slides[now]);
}

function next() {
  const step = slides[now].querySelector(".step.hidden");
  if (step) step.classList.remove("hidden");
  else if (now < slides.length - 1) show(now + 1, false);
}

function back() {
  const step = slides[now].querySelector(".step:not(.hidden)");
  if (step) step.classList.add("hidden");
  else if (now > 0) show(now - 1, true);
}

function talk() {
  const on = document.body.classList.toggle("talking");
  document.querySelector("#say").setAttribute("aria-pressed", on);
  fit(slides[now]);
}

const KEYS = {
  ArrowRight: next, ArrowDown: next, PageDown: next, " ": next,
  ArrowLeft: back, ArrowUp: back, PageUp: back,
  Home: () => show(0, false), End: () => show(slides.length - 1, false),
  n: talk, f: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (event.key === " " && event.target.tagName === "BUTTON") return;
  event.preventDefault();
  KEYS[event.key]();
});
document.querySelector("#next").addEventListener("click", next);
document.querySelector("#back").addEventListener("click", back);
document.querySelector("#say").addEventListener("click", talk);
addEventListener("resize", () => fit(slides[now]));
addEventListener("hashchange", () => show(Number(location.hash.slice(2)) - 1 || 0, false));
show(Number(location.hash.slice(2)) - 1 || 0, false);
window.MathJax?.startup?.promise?.then(() => fit(slides[now]));
addEventListener("load", () => window.MathJax?.startup?.promise?.then(() => fit(slides[now])));
