// A form whose answers stay on this machine: checked in the page, saved as a file. Nothing is sent.
"use strict";

/** The answers of a form: [name, answer] in the order of the page. */
function answersOf(form) {
  const found = new Map();
  for (const one of form.elements) {
    if (!one.name) continue;
    const choice = one.type === "radio" || one.type === "checkbox";
    const value = choice ? (one.checked ? one.value : "") : one.value.trim();
    const before = found.get(one.name) || "";
    found.set(one.name, before && value ? `${before}; ${value}` : before || value);
  }
  return [...found];
}

/** Rows as the text of a CSV file. */
function toCsv(rows) {
  return rows.map((row) => row.map((cell) => `"${String(cell).replaceAll('"', '""')}"`).join(",")).join("\r\n") + "\r\n";
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

/** Count the right answers; with `explain` write below each question what is to be said. */
function checkTest(form, explain) {
  let right = 0;
  for (const question of form.querySelectorAll("fieldset[data-right]")) {
    const chosen = question.querySelector("input:checked");
    const fine = chosen !== null && chosen.value === question.dataset.right;
    right += Number(fine);
    question.querySelector(".says")?.remove();
    if (explain) {
      const note = document.createElement("p");
      const why = question.querySelector(`input[value="${chosen ? chosen.value : "?"}"]`)?.dataset.why || "";
      const key = question.querySelector(`input[value="${question.dataset.right}"]`);
      note.className = "says";
      note.textContent = fine ? `Right. ${why}` : `Not yet. ${why} ${question.dataset.right}: ${key.dataset.why}`;
      question.append(note);
    }
  }
  return right;
}

/** Draw the five points of a scale: from 1, its low end, to 5, its high end. */
function drawScale(question) {
  const place = document.createElement("div");
  place.className = "scale";
  for (const [at, end] of [question.dataset.low, "", "", "", question.dataset.high].entries()) {
    const label = document.createElement("label"), point = document.createElement("input");
    label.className = "inline";
    const name = question.dataset.name ?? question.querySelector("legend").textContent;
    Object.assign(point, { type: "radio", name, value: String(at + 1) });
    label.append(point, end ? `${at + 1} (${end})` : String(at + 1));
    place.append(label);
  }
  question.append(place);
}

document.querySelectorAll("fieldset[data-low]").forEach(drawScale);
for (const form of document.querySelectorAll("form[data-kit]")) {
  const result = form.querySelector(".result");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("[data-do=check]")?.addEventListener("click", () => {
    const total = form.querySelectorAll("fieldset[data-right]").length;
    const when = form.elements.when.value;
    const open = [...form.querySelectorAll("fieldset[data-right]")].filter((q) => !q.querySelector("input:checked")).length;
    if (!when || open) {
      result.textContent = when ? `${open} questions are still open; "I do not know yet" is an answer, too.` : "Say first when you take the test.";
      return;
    }
    const right = checkTest(form, when === "after");
    form.dataset.score = right;
    result.textContent = `${right} of ${total} right.` + (when === "before" ? " You see why after the workshop." : "");
  });
  form.querySelector("[data-do=save]").addEventListener("click", () => {
    const rows = [["question", "answer"], ["form", form.dataset.kit], ...answersOf(form)];
    if (form.dataset.kit === "test") rows.push(["score", form.dataset.score ?? String(checkTest(form, false))]);
    const word = (form.elements.word.value.trim() || "nobody").replace(/[^\p{L}\p{N}]+/gu, "-");
    const when = form.elements.when?.value ? `-${form.elements.when.value}` : "";
    save(`${form.dataset.kit}${when}-${word}.csv`, toCsv(rows));
    result.textContent = "Saved among your downloads. Give the file to your teacher.";
  });
}
