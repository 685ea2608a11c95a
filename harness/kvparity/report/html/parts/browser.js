// The divergence browser: a list that is filtered, and the history of the one that is selected.
(() => {
  function copyable(block) {
    if (!navigator.clipboard) {
      return;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.querySelector("code").textContent);
      button.textContent = "Copied";
    });
    block.append(button);
  }
  document.querySelectorAll(".paste").forEach(copyable);

  const form = document.getElementById("filters");
  if (!form) {
    return;
  }
  const PAGE = 100;
  const listed = data.divergences;
  const column = Object.fromEntries(listed.columns.map((name, at) => [name, at]));
  const body = document.querySelector("#list tbody");
  const more = document.getElementById("more");
  const detail = document.getElementById("detail");
  let found = [];
  let shown = 0;
  let chosen = -1;

  // Everything that comes from a result is put in as text, never as HTML.
  function made(tag, options = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const count = (number) => number.toLocaleString("en");
  const field = (row, name) => row[column[name]];

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    const key = (wanted.key || "").trim().toLowerCase();
    found = [];
    listed.rows.forEach((row, at) => {
      const fits =
        ["kind", "wrong", "pool"].every((name) => !wanted[name] || field(row, name) === wanted[name]) &&
        (!wanted.run || field(row, "run") === Number(wanted.run)) &&
        (!key || (field(row, "key") || "").includes(key));
      if (fits) {
        found.push(at);
      }
    });
    body.replaceChildren();
    shown = 0;
    extend();
  }

  function extend() {
    const next = found.slice(shown, shown + PAGE);
    body.append(...next.map(line));
    shown += next.length;
    more.hidden = shown >= found.length;
    more.textContent = `Show ${count(Math.min(PAGE, found.length - shown))} more`;
    const kept = `${count(found.length)} of ${count(listed.rows.length)} listed divergences match`;
    document.getElementById("found").textContent = shown < found.length ? `${kept}; the first ${count(shown)} are shown.` : `${kept}.`;
  }

  function line(at) {
    const row = listed.rows[at];
    const open = made("button", { type: "button", class: "key", "data-at": at }, field(row, "key") || "no key");
    return made(
      "tr", at === chosen ? { "aria-current": "true" } : {},
      made("th", { scope: "row" }, open), made("td", {}, field(row, "kind")), made("td", {}, field(row, "wrong")),
      made("td", {}, `${count(field(row, "number"))} ${field(row, "operation")}`), made("td", {}, field(row, "pool")),
    );
  }

  function facts(pairs) {
    return made("dl", { class: "facts" }, ...pairs.filter(([, text]) => text).map(([name, text]) =>
      made("div", {}, made("dt", {}, name), made("dd", {}, text))));
  }

  function paste(text, label) {
    const block = made("div", { class: "paste" }, made("pre", { tabindex: "0", role: "group", "aria-label": label }, made("code", {}, text)));
    copyable(block);
    return block;
  }

  // The history of a key, with a lane for each side.
  function lanes(exhibit) {
    const last = exhibit.history.length - 1;
    const rows = exhibit.history.map(([number, operation, pool, reference, candidate], at) => {
      const mark = at === last ? "they differ" : at === exhibit.broke ? "the cause" : null;
      return made("tr", { class: at === last ? "parted" : at === exhibit.broke ? "broke" : "" },
        made("th", { scope: "row" }, `${count(number)} `, made("span", {}, `${operation} ${pool}`), mark ? made("strong", {}, mark) : null),
        made("td", { class: "reference" }, reference), made("td", { class: "candidate" }, candidate));
    });
    const head = made("thead", {}, made("tr", {}, ...["operation", "reference", "candidate"].map((name) => made("th", { scope: "col" }, name))));
    const table = made("table", { class: "lanes" }, made("caption", {}, "History of the key"), head, made("tbody", {}, ...rows));
    return made("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "history of the key on both sides" }, table);
  }

  // Greatest absolute difference by head and token; five steps of colour, and the number in every cell.
  const level = (value, most) => (value === null ? 4 : value === 0 ? 0 : value > most / 2 ? 4 : value > most / 10 ? 3 : value > most / 1000 ? 2 : 1);

  function heats(maps) {
    const most = Math.max(...maps.flatMap(([, heads]) => heads.flat()).filter((each) => each !== null), 0);
    const tables = maps.map(([where, heads]) => {
      const tokens = heads[0].map((_, at) => made("th", { scope: "col" }, `t${at}`));
      const rows = heads.map((row, head) => made("tr", {}, made("th", { scope: "row" }, `head ${head}`),
        ...row.map((value) => made("td", { class: `heat-${level(value, most)}` }, value === null ? "NaN" : value === 0 ? "0" : value.toPrecision(2)))));
      return made("table", { class: "heat" }, made("caption", {}, where), made("thead", {}, made("tr", {}, made("td"), ...tokens)), made("tbody", {}, ...rows));
    });
    const steps = ["equal", "up to 1/1000 of the greatest", "up to 1/10", "up to 1/2", "more, or not a number"];
    const legend = made("p", { class: "legend" }, ...steps.flatMap((text, at) => [made("span", { class: `heat-${at}` }, text), " "]));
    return [made("h4", {}, "Greatest absolute difference by head and token"), legend,
      made("div", { class: "heats" }, ...tables.map((table) => made("div", { class: "wide", tabindex: "0", role: "group", "aria-label": table.caption.textContent }, table)))];
  }

  function story(at) {
    const row = listed.rows[at];
    const key = field(row, "key");
    const exhibit = field(row, "exhibit") === null ? null : listed.exhibits[field(row, "exhibit")];
    const kind = field(row, "kind");
    const wrong = field(row, "wrong");
    const parts = [
      made("h4", { tabindex: "-1", id: "story" }, `${kind}, wrong: ${wrong}`),
      made("p", { class: "why" }, `${data.blame[wrong]}: ${field(row, "explanation") || "no explanation was kept for this divergence; see the first of its group"}.`),
      facts([
        ["Key", key], ["Operation", `${count(field(row, "number"))}: ${field(row, "operation")} in ${field(row, "pool")}`],
        ["Run", data.runs.length > 1 ? data.runs[field(row, "run")] : ""], ["Reference", field(row, "reference")],
        ["Candidate", field(row, "candidate")], ["Known and accepted", field(row, "known")],
      ]),
    ];
    if (exhibit && exhibit.history.length) {
      const lost = [exhibit.earlier ? `${count(exhibit.earlier)} earlier operations are left out.` : "", exhibit.complete ? "" : "Operations long before this one are no longer known."];
      parts.push(...lost.filter(Boolean).map((text) => made("p", { class: "note" }, text)), lanes(exhibit));
    } else {
      parts.push(made("p", { class: "note" }, "This page has no history for this divergence: only the first ones of each group have one."));
    }
    if (field(row, "difference")) {
      parts.push(paste(field(row, "difference"), "difference of the tensors"));
    }
    if (exhibit && exhibit.heat.length) {
      parts.push(...heats(exhibit.heat));
    }
    const group = [...document.querySelectorAll("[data-group]")].find((each) => each.dataset.group === kind && each.dataset.wrong === wrong);
    const program = group && group.closest("article").querySelector("[aria-label=program], [aria-label=command]");
    if (program) {
      const label = program.getAttribute("aria-label");
      parts.push(made("h4", {}, label === "program" ? "The smallest program that shows a divergence of this group" : "How to minimize it"), paste(program.textContent, label));
    }
    return parts;
  }

  function choose(at, focus) {
    chosen = at;
    for (const line of body.rows) {
      const here = Number(line.querySelector("button").dataset.at) === at;
      here ? line.setAttribute("aria-current", "true") : line.removeAttribute("aria-current");
    }
    const back = made("button", { type: "button" }, "Back to the list");
    back.addEventListener("click", () => leave());
    detail.replaceChildren(...story(at), made("p", {}, back));
    if (focus) {
      const title = document.getElementById("story");
      title.focus({ preventScroll: true });
      detail.scrollIntoView({ block: "nearest" });
    }
  }

  function leave() {
    (body.querySelector(`button[data-at="${chosen}"]`) || document.getElementById("filter-key")).focus();
  }

  body.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) {
      choose(Number(button.dataset.at), true);
    }
  });
  detail.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      leave();
    }
  });
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("everything").addEventListener("click", () => {
    form.reset();
    filter();
  });
  more.addEventListener("click", extend);
  for (const button of document.querySelectorAll("[data-group]")) {
    button.addEventListener("click", () => {
      form.reset();
      form.elements.kind.value = button.dataset.group;
      form.elements.wrong.value = button.dataset.wrong;
      filter();
      document.getElementById("browser").focus();
      document.getElementById("browser").scrollIntoView();
    });
  }
  filter();
})();
