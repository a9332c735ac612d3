// The teacher's tables: report lines of the machines, files of surveys and tests. Nothing leaves this page.
"use strict";

/** The rows of a CSV text, quotes undone. */
function fromCsv(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.replace(/^\ufeff/, "").matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== ",") rows.push([]);
  }
  return rows.filter((row) => row.length > 1);
}

function table(heads, rows) {
  const made = document.createElement("table");
  for (const [number, cells] of [heads, ...rows].entries()) {
    const row = made.insertRow();
    for (const text of cells) {
      const cell = document.createElement(number ? "td" : "th");
      cell.textContent = text;
      row.append(cell);
    }
  }
  return made;
}

function show(place, ...parts) {
  place.replaceChildren(...parts.map((part) => {
    if (typeof part !== "string") return part;
    const line = document.createElement("p");
    line.textContent = part;
    return line;
  }));
}

/** Report lines -> [verdict, machine, what is missing]. */
function machines(text) {
  return text.split("\n").filter((line) => line.includes("|")).map((line) => {
    const [, verdict = "", ...facts] = line.split("|").map((part) => part.trim());
    const failed = facts.filter((fact) => fact.startsWith("FAIL"));
    const notes = facts.flatMap((fact) => fact.match(/too little for lesson[^;|]*/) || []);
    const machine = facts.find((fact) => fact.startsWith("Python")) || "?";
    return [verdict, machine, [...failed, ...notes].join(" ")];
  });
}

const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
const shown = (numbers) => (numbers.length ? `${mean(numbers).toFixed(1)} (${numbers.length})` : "");

/** Answers of the forms -> rows of means before and after, and rows of texts. */
function summed(files) {
  const numbers = new Map(), texts = [];
  for (const answers of files) {
    const when = answers.get("when") || { "survey-before": "before", "survey-after": "after" }[answers.get("form")] || "";
    for (const [name, answer] of answers) {
      if (["form", "word", "when"].includes(name) || !answer || /^question \d+$/.test(name)) continue;
      if (/^\d+$/.test(answer)) {
        if (!numbers.has(name)) numbers.set(name, { before: [], after: [] });
        numbers.get(name)[when]?.push(Number(answer));
      } else texts.push([when, name, answer]);
    }
  }
  return [[...numbers].map(([name, found]) => [name, shown(found.before), shown(found.after)]), texts];
}

document.querySelector("#lines").addEventListener("input", (event) => {
  const rows = machines(event.target.value);
  const ready = rows.filter(([verdict]) => verdict === "ready").length;
  const place = document.querySelector("#machines");
  show(place, `${ready} of ${rows.length} ready.`, table(["verdict", "machine", "what is missing"], rows));
});

document.querySelector("#files").addEventListener("change", async (event) => {
  const read = await Promise.all([...event.target.files].map((file) => file.text()));
  const files = read.map((text) => new Map(fromCsv(text)));
  const [means, texts] = summed(files);
  const heads = ["question", "before: mean (answers)", "after: mean (answers)"];
  show(document.querySelector("#answers"), `${files.length} files.`, table(heads, means), table(["when", "question", "answer"], texts));
});
