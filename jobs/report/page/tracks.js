// The table of tracks: sorted, searched and filtered here, without the network. Names are untrusted: they become
// text nodes and nothing else, and the page's policy (trusted types) forbids every way to make markup of text.
"use strict";
(() => {
  const PAGE = 50; // rows shown at once
  const at = id => document.getElementById(id);
  const data = JSON.parse(at("tracks-data").textContent);
  const names = data.columns.map(column => column.name);
  const rows = data.rows;
  const state = names.indexOf("state"), track = names.indexOf("track"), note = names.indexOf("note");
  const collator = new Intl.Collator(undefined, { numeric: true });
  const searched = rows.map(row => `${row[track]}\n${row[note]}`.toLowerCase());
  let order = rows.map((_, number) => number);
  let found = order, sorted = -1, direction = 1, first = 0;

  const length = seconds => {
    const whole = Math.round(seconds), two = number => String(number).padStart(2, "0");
    const minutes = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
    return whole < 3600 ? minutes.replace(/^0/, "") : `${Math.floor(whole / 3600)}:${minutes}`;
  };
  const shown = {
    text: value => value,
    length,
    count: value => value.toLocaleString("en"),
    moment: value => new Date(value * 1000).toISOString().slice(0, 19).replace("T", " "),
  };

  const cell = (row, number) => {
    const td = document.createElement("td"), text = document.createElement("bdi");
    const { name, kind } = data.columns[number], value = row[number];
    text.textContent = value === null ? "–" : shown[kind](value);
    td.append(text);
    td.dataset.label = name;
    if (kind !== "text") td.className = "n";
    if (number === state && value !== "ok") td.className = "failed-state";
    return td;
  };

  const draw = () => {
    first = Math.max(0, Math.min(first, found.length - 1));
    first -= first % PAGE;
    const last = Math.min(first + PAGE, found.length);
    at("tracks-body").replaceChildren(...found.slice(first, last).map(number => {
      const tr = document.createElement("tr");
      tr.append(...names.map((_, column) => cell(rows[number], column)));
      return tr;
    }));
    const count = number => number.toLocaleString("en");
    at("tracks-count").textContent = found.length
      ? `${count(first + 1)} to ${count(last)} of ${count(found.length)} tracks` : "no track";
    at("tracks-before").disabled = first === 0;
    at("tracks-after").disabled = last === found.length;
  };

  const filter = () => {
    const words = at("tracks-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = at("tracks-state").value;
    found = order.filter(number => {
      const value = rows[number][state];
      return (!wanted || value === wanted || (wanted === " errors" && value !== "ok")
        || (wanted === " warnings" && value === "ok" && rows[number][note] !== ""))
        && words.every(word => searched[number].includes(word));
    });
    first = 0;
    draw();
  };

  const sort = column => {
    direction = column === sorted ? -direction : 1;
    sorted = column;
    const compare = data.columns[column].kind === "text" ? collator.compare : (a, b) => a - b;
    order = rows.map((_, number) => number).sort((a, b) => {
      const left = rows[a][column], right = rows[b][column];
      if (left === null || right === null) return (left === null) - (right === null) || a - b; // unknown: last
      return direction * compare(left, right) || a - b;
    });
    for (const [number, head] of heads.entries()) {
      if (number === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    filter();
  };

  const heads = data.columns.map(({ name, kind }, number) => {
    const th = document.createElement("th"), button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => sort(number));
    if (kind !== "text") th.className = "n";
    th.append(button);
    return th;
  });
  at("tracks-head").append(...heads);
  for (const value of [...new Set(rows.map(row => row[state]))].sort(collator.compare)) {
    at("tracks-state").append(new Option(value, value));
  }
  at("tracks-search").addEventListener("input", filter);
  at("tracks-state").addEventListener("change", filter);
  const turn = pages => { first += pages * PAGE; draw(); };
  at("tracks-before").addEventListener("click", () => turn(-1));
  at("tracks-after").addEventListener("click", () => turn(1));
  draw();
  at("tracks-table").hidden = false;
})();
