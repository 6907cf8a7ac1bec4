// The control page of the simulators: no framework, no request to anywhere but its own server.
"use strict";

const WORDS = {
  zh: {
    other: "English", code: "zh-CN", any: "自动选择", live: "在线", lost: "连接断开，正在重试",
    on: "开", off: "关", up: "通", down: "断", nothing: "一切正常", none: "还没有发生什么",
    turn: (id) => `转动确认钥匙（${id}）`, turned: (id) => `有人在现场转动了 ${id} 的确认钥匙`,
    started: (name, run) => `已开始：${name}（${run}）`, failed: (why) => `没有开始：${why}`,
    points: {
      horn: "警号", gas_valve: "燃气阀", smoke: "烟雾", lel: "燃气浓度", fault: "故障", link: "线路", answers: "应答",
      state: "状态", fill_percent: "满溢度", temperature: "温度", call: "呼叫", passage: "通行", open: "门开", gas: "燃气",
      ack_key: "确认钥匙", tamper: "防拆", battery: "电量", battery_low: "电量低", water_leak: "水浸", co2: "二氧化碳", humidity: "湿度",
    },
    values: { true: "是", false: "否", up: "恢复", down: "断开", well: "正常", dead: "失联", forced: "被强行打开", closed: "关", open: "开", held: "未关好", in: "进", out: "出" },
    outputs: { horn: ["静", "响"], gas_valve: ["未动作", "已关闭"] },
    building: (b) => (/^\d+$/.test(b) ? `${b} 号楼` : b), unit: (u) => (/^\d+$/.test(u) ? `${u} 单元` : u),
    floor: (n) => (n < 0 ? `地下 ${-n} 层` : `${n} 层`),
    kinds: { "modbus-rtu": "RS-485 总线", "modbus-tcp": "Modbus TCP", mqtt: "MQTT", rf433: "433 MHz 无线" },
  },
  en: {
    other: "中文", code: "en", any: "choose for me", live: "live", lost: "connection lost, trying again",
    on: "on", off: "off", up: "up", down: "down", nothing: "all at rest", none: "nothing has happened yet",
    turn: (id) => `Turn the key switch (${id})`, turned: (id) => `somebody on site turned the key switch of ${id}`,
    started: (name, run) => `started: ${name} (${run})`, failed: (why) => `not started: ${why}`,
    points: { gas_valve: "gas valve", lel: "gas", fill_percent: "fill", ack_key: "key switch", battery_low: "battery low", water_leak: "water leak" },
    values: { true: "yes", false: "no" },
    outputs: { horn: ["silent", "sounding"], gas_valve: ["not closed", "closed"] },
    building: (b) => `building ${b}`, unit: (u) => `stair ${u}`, floor: (n) => (n < 0 ? `basement ${-n}` : `floor ${n}`),
    kinds: { "modbus-rtu": "RS-485 bus", "modbus-tcp": "Modbus TCP", mqtt: "MQTT", rf433: "433 MHz radio" },
  },
};
const REFRESH_MS = 1000;
const KEY_TURNED_MS = 2500;
const FACTS_SHOWN = 80;

let language = localStorage.getItem("language") === "en" ? "en" : "zh";
let scenarios = [];
let devices = [];
const byId = (id) => document.getElementById(id);
const word = () => WORDS[language];
const pointName = (point) => word().points[point] ?? point;
const outputText = (point, on) => (word().outputs[point] ?? [word().off, word().on])[Number(on)];
const valueText = (value) => (typeof value === "number" ? String(value) : word().values[String(value)] ?? String(value));

/** A place in words: what people say of it, the building last as there is only one. */
function placeText(spot) {
  if (spot.text) return spot.text;
  const parts = [spot.unit && word().unit(spot.unit), spot.floor !== undefined && word().floor(spot.floor), spot.household, spot.room];
  const words = parts.filter(Boolean);
  if (!words.length && spot.building) words.push(word().building(spot.building));
  return words.join(" · ");
}

/** The place of a device by its id; empty for a link. */
function spotOf(id) {
  const device = devices.find((one) => one.id === id);
  return device ? placeText(device.spot) : "";
}

/** What became true; an output in the words of its card. */
function factText(fact) {
  const output = typeof fact.value === "boolean" && word().outputs[fact.point];
  return output ? output[Number(fact.value)] : valueText(fact.value);
}

/** Where a link ends, without the folders of this computer. */
const linkEnd = (where) => (where.startsWith("/") ? where.split("/").pop() : where);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function replace(id, items, emptyText) {
  const list = byId(id);
  list.replaceChildren(...(items.length ? items : [element("li", emptyText, "none")]));
}

async function get(path) {
  const response = await fetch(path, { cache: "no-store" });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

async function start(scenario) {
  const device = byId("device").value;
  const takesDevice = !["day", "quiet", "storm"].includes(scenario.name);
  try {
    const response = await post(`/scenarios/${scenario.name}`, device && takesDevice ? { device } : {});
    const body = await response.json();
    byId("answer").textContent = response.ok ? word().started(scenario[language], body.run_id) : word().failed(body.detail);
  } catch (why) {
    byId("answer").textContent = word().failed(why.message);
  }
  refresh();
}

function post(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

async function turnKey(device) {
  const path = `/points/${encodeURIComponent(device)}/ack_key`;
  await post(path, { value: true });
  byId("answer").textContent = word().turned(device);
  setTimeout(() => post(path, { value: false }), KEY_TURNED_MS);
}

function drawKeys() {
  byId("keys").replaceChildren(...devices.filter((d) => d.points.includes("ack_key")).map((device) => {
    const button = element("button", word().turn(device.id));
    button.type = "button";
    button.addEventListener("click", () => turnKey(device.id));
    return button;
  }));
}

function drawScenarios(day) {
  const box = byId("scenarios");
  if (box.childElementCount !== scenarios.length) {
    box.replaceChildren(...scenarios.map((scenario) => {
      const button = element("button");
      button.type = "button";
      button.dataset.name = scenario.name;
      button.append(element("span"), element("small", scenario.name));
      if (["day", "quiet"].includes(scenario.name)) button.className = "plain";
      button.addEventListener("click", () => start(scenario));
      return button;
    }));
  }
  const chosen = devices.find((d) => d.id === byId("device").value);
  scenarios.forEach((scenario, n) => {
    box.children[n].disabled = Boolean(chosen && scenario.needs && !chosen.classes.includes(scenario.needs));
    box.children[n].firstChild.textContent = scenario[language];
    if (scenario.name === "day") box.children[n].setAttribute("aria-pressed", String(day));
  });
}

function drawDevices() {
  const select = byId("device");
  const chosen = select.value;
  const first = element("option", word().any);
  first.value = "";
  select.replaceChildren(first, ...devices.filter((d) => d.classes.length).map((device) => {
    const option = element("option", `${placeText(device.spot)} · ${device.id} · ${device.profile}`);
    option.value = device.id;
    return option;
  }));
  select.value = chosen;
}

function tile(name, text, place, alarming) {
  const item = element("li", undefined, alarming ? "on" : "well");
  item.append(element("strong", `${name}${language === "zh" ? "：" : ": "}${text}`), element("small", place));
  return item;
}

function line(left, middle, right, danger) {
  const item = element("li", undefined, danger ? "danger" : "");
  item.append(left, element("span", middle), element("b", right));
  return item;
}

function draw(state, facts) {
  drawScenarios(state.day);
  replace("outputs", state.points.filter((p) => p.output).map((p) =>
    tile(pointName(p.point), outputText(p.point, Boolean(p.value)), `${placeText(p.spot)} (${p.device})`, Boolean(p.value))), word().nothing);
  replace("links", state.links.map((l) => tile(l.id, l.up ? word().up : word().down, `${word().kinds[l.kind] ?? l.kind} · ${linkEnd(l.where)}`, !l.up)), word().nothing);
  const odd = state.points.filter((p) => !p.output).map((p) =>
    line(element("small", placeText(p.spot)), `${p.device} ${pointName(p.point)}`, `${valueText(p.value)}${p.unit ?? ""}`, true));
  const unwell = Object.entries(state.unwell).map(([device, health]) =>
    line(element("small", spotOf(device)), `${device} ${pointName("answers")}`, valueText(health), true));
  replace("notable", odd.concat(unwell), word().nothing);
  replace("truth", facts.slice().reverse().map((fact) => {
    const at = element("time", new Date(fact.at).toLocaleTimeString(word().code, { hour12: false }));
    at.dateTime = fact.at;
    const danger = fact.value === true || ["down", "dead", "forced"].includes(fact.value);
    const where = spotOf(fact.device);
    return line(at, `${where ? `${where} · ` : ""}${fact.device} ${pointName(fact.point)}`, factText(fact), danger);
  }), word().none);
}

function translate() {
  document.documentElement.lang = word().code;
  document.title = language === "zh" ? "模拟楼栋 · 邻里" : "Simulated building · Linli";
  for (const node of document.querySelectorAll("[data-zh]")) node.textContent = node.dataset[language];
  byId("language").textContent = word().other;
  byId("language").lang = language === "zh" ? "en" : "zh-CN";
  drawDevices();
  drawKeys();
}

async function refresh() {
  const status = byId("connection");
  try {
    if (!scenarios.length) {
      [scenarios, devices] = await Promise.all([get("/scenarios"), get("/devices")]);
      drawDevices();
      drawKeys();
    }
    const [state, facts] = await Promise.all([get("/state?only=notable"), get(`/truth?last=${FACTS_SHOWN}`)]);
    draw(state, facts);
    status.textContent = word().live;
    status.className = "pill";
  } catch {
    status.textContent = word().lost;
    status.className = "pill lost";
  }
}

byId("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  byId("answer").textContent = "";
  translate();
  refresh();
});
byId("device").addEventListener("change", refresh);
translate();
refresh();
setInterval(refresh, REFRESH_MS);
