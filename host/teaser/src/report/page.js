"use strict";
const report = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// Everything a model or a file says goes through here, as text.
function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const ms = (value) => value < 1000 ? `${value.toFixed(value < 10 ? 2 : 0)} ms` : `${(value / 1000).toFixed(2)} s`;

byId("when").textContent = `${report.started} · took ${ms(report.wall_ms)}`;
byId("figures").textContent = `${report.fixtures.length} fixtures: ${report.counts} · ` +
  `${report.prompt_tokens} prompt + ${report.completion_tokens} generated tokens` +
  (report.tokens_per_second ? ` · ${Math.round(report.tokens_per_second)} tokens/s` : "");
document.title = `genius test: ${report.counts}`;

function block(title, text) {
  const pre = element("pre");
  pre.textContent = text;
  return element("div", "", element("h3", "", title), pre);
}

function difference(diff) {
  const pre = element("pre");
  for (const line of diff.split("\n")) {
    if (line === "") continue;
    const className = line[0] === "-" ? "less" : line[0] === "+" ? "more" : "";
    pre.append(className ? element("span", className, line) : `${line}\n`);
  }
  return pre;
}

function failures(fixture) {
  const list = element("ul", "wrong");
  for (const failure of fixture.failures) {
    const item = element("li", "", failure.text);
    if (failure.diff) item.append(difference(failure.diff));
    if (failure.hint) item.append(element("div", "hint", failure.hint));
    list.append(item);
  }
  return element("div", "wide", element("h3", "", "What is wrong"), list);
}

function facts(fixture) {
  const said = [fixture.file];
  if (fixture.engine) {
    said.push(fixture.replayed ? `cassette of ${fixture.engine}` : `engine ${fixture.engine}`);
    said.push(`${fixture.usage["prompt-tokens"]} prompt + ${fixture.usage["completion-tokens"]} generated tokens`);
    if (fixture.finish) said.push(`ended with ${fixture.finish}`);
    if (fixture.attempts > 1) said.push(`${fixture.attempts} attempts`);
    if (!fixture.judged) said.push("the pipeline was judged, not the answer");
  }
  return element("p", "wide facts", said.join(" · "));
}

function body(fixture) {
  const made = element("div", "body");
  if (fixture.failures.length) made.append(failures(fixture));
  if (fixture.asked.length) {
    made.append(block("Asked", fixture.asked.map((turn) => turn.role === "user" ? turn.content : `[${turn.role}] ${turn.content}`).join("\n\n")));
  }
  if (fixture.expected.length) made.append(block("Expected", fixture.expected.join("\n")));
  const answers = [...(fixture.earlier || []), fixture.answer].filter((text) => text !== undefined);
  if (answers.length) made.append(block(answers.length > 1 ? "Answers" : "Answer", answers.join("\n\n")));
  if (fixture.calls) made.append(block("Calls", fixture.calls.join("\n")));
  if (fixture.thoughts) made.append(block("Thoughts", fixture.thoughts));
  made.append(facts(fixture));
  return made;
}

const rows = report.fixtures.map((fixture, at) => {
  const row = element("details", fixture.status);
  row.id = `f${at}`;
  const time = fixture.wall_ms === undefined ? "" : ms(fixture.wall_ms);
  const summary = element("summary", "", element("span", "status", fixture.status), element("span", "name", fixture.name));
  for (const tag of fixture.tags) summary.append(element("span", "tag", tag));
  summary.append(element("span", "time", time));
  row.append(summary);
  // Thousands of answers are laid out when somebody looks at them.
  row.addEventListener("toggle", () => {
    if (row.open && row.children.length === 1) row.append(body(fixture));
  });
  if (fixture.status === "failed" || fixture.status === "broken") row.open = true;
  const words = [fixture.name, ...fixture.tags, ...fixture.asked.map((turn) => turn.content), fixture.answer || ""];
  return { row, status: fixture.status, words: words.join("\n").toLowerCase() };
});
// What somebody has to look at comes first.
const ranks = ["broken", "failed", "flaky", "skipped", "passed"];
const ranked = [...rows].sort((a, b) => ranks.indexOf(a.status) - ranks.indexOf(b.status));
byId("rows").append(...ranked.map(({ row }) => row));

const statuses = ranks.filter((rank) => rows.some(({ status }) => status === rank));
const boxes = statuses.map((status) => {
  const box = element("input");
  box.type = "checkbox";
  box.checked = true;
  byId("statuses").append(element("label", "", box, ` ${status}`));
  return [status, box];
});

function filter() {
  const wanted = byId("text").value.toLowerCase();
  const checked = new Set(boxes.filter(([, box]) => box.checked).map(([status]) => status));
  let shown = 0;
  for (const { row, status, words } of rows) {
    row.hidden = !(checked.has(status) && words.includes(wanted));
    if (!row.hidden) shown += 1;
  }
  byId("shown").textContent = `${shown} of ${rows.length}`;
}
byId("filter").addEventListener("input", filter);
byId("filter").addEventListener("submit", (event) => event.preventDefault());
filter();

function chart() {
  const timed = report.fixtures
    .map((fixture, at) => ({ at, name: fixture.name, prefill: fixture.prefill_ms, decode: fixture.decode_ms }))
    .filter(({ prefill, decode }) => prefill + decode > 0)
    .sort((a, b) => b.prefill + b.decode - a.prefill - a.decode);
  if (!timed.length) {
    byId("chart").textContent = "Nothing was generated.";
    return;
  }
  const svg = (name, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const height = 18, names = 420, bars = 640, width = names + bars + 90;
  const most = timed[0].prefill + timed[0].decode;
  const all = svg("svg", { viewBox: `0 0 ${width} ${timed.length * height}`, role: "img", "aria-label": "Latency of each fixture, slowest first" });
  timed.forEach(({ at, name, prefill, decode }, n) => {
    const y = n * height, first = bars * prefill / most, rest = bars * decode / most;
    const label = name.length > 60 ? `…${name.slice(-59)}` : name;
    const link = svg("a", { href: `#f${at}` }, svg("text", { x: names - 8, y: y + 13, "text-anchor": "end" }, label));
    link.addEventListener("click", () => { rows[at].row.hidden = false; rows[at].row.open = true; });
    all.append(
      link,
      svg("rect", { class: "prefill", x: names, y: y + 3, width: first, height: height - 6 }),
      svg("rect", { class: "decode", x: names + first, y: y + 3, width: rest, height: height - 6 }),
      svg("text", { class: "scale", x: names + first + rest + 6, y: y + 13 }, ms(prefill + decode)),
    );
  });
  byId("chart").append(all);
}
chart();
