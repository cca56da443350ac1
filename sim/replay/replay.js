"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const sounds = JSON.parse(document.getElementById("sounds").textContent);
  const $ = (id) => document.getElementById(id);
  const [play, scrub, clock, rate, poleBox, now, said, sound] =
    ["play", "scrub", "clock", "rate", "pole", "now", "said", "sound"].map($);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const FLIGHT_S = 0.6, TICK_MS = 33; // timers run on in a page that nobody looks at, frames do not

  // Frames of each pole, unpacked from `value*count` words.
  const unpack = (rows) => rows.map((row) => Uint8Array.from(row.split(" ").flatMap((word) => {
    const [value, count] = word.split("*").map(Number);
    return Array(count).fill(value);
  })));
  const origin = unpack(data.origin), arrived = unpack(data.arrived), lost = unpack(data.lost);
  const poles = data.poles.length, frames = origin[0].length;
  const bad = new Set(data.bad), repaired = new Set(data.repaired);
  const kindOf = (value) => value === data.nothing ? "nothing" : value === data.paused ? "pause"
    : repaired.has(value) ? "fixed" : !bad.has(value) ? "good"
    : data.origins[value] === "silent" ? "silent" : "made";
  const kinds = origin.map((row) => Array.from(row, kindOf));

  let at = 0, playing = false, chosen = data.first, last = 0, colours = {};
  const frameAt = (s) => Math.min(frames - 1, Math.max(0, Math.floor(s / data.frame_s + 1e-6)));
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["good", "fixed", "made", "silent", "pause", "packet"])
      colours[name] = style.getPropertyValue(`--k-${name}`).trim();
    for (const name of ["ink", "soft", "rule", "card", "accent", "bad"])
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    colours.nothing = colours.rule;
  };
  const told = (s) => {
    const whole = data.start_s + s, tenths = Math.round(whole * 10);
    return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
  };

  // Each map knows where its poles and stations are, in its own units.
  const stages = [...document.querySelectorAll(".stage")].map((element) => {
    const svg = element.querySelector("svg"), box = svg.viewBox.baseVal;
    const spots = data.poles.map(({ node }) => {
      const circle = svg.querySelector(`g[data-node="${CSS.escape(node)}"] circle`);
      return { x: +circle.getAttribute("cx"), y: +circle.getAttribute("cy"), r: +circle.getAttribute("r") };
    });
    const stations = [];
    data.poles.forEach(({ commune }, i) => (stations[commune] ??= []).push(spots[i]));
    const mean = (list, key) => list.reduce((sum, one) => sum + one[key], 0) / list.length;
    svg.querySelectorAll("g[data-node]").forEach((group) => group.addEventListener("click", () =>
      choose(data.poles.findIndex(({ node }) => node === group.dataset.node))));
    svg.setAttribute("aria-label", "Map of the poles: who sounds, and the packets on their way");
    return {
      element, svg, box, spots, canvas: element.querySelector("canvas"),
      stations: stations.map((list) => list.length > 1
        ? { x: mean(list, "x"), y: mean(list, "y") } : { x: list[0].x - 26, y: list[0].y - 20 }),
    };
  });

  const sized = (canvas, width, height) => {
    const dense = devicePixelRatio || 1, context = canvas.getContext("2d");
    const w = Math.round(width * dense), h = Math.round(height * dense);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  };
  const disc = (c, x, y, r) => { c.beginPath(); c.arc(x, y, r, 0, 7); };
  const cross = (c, x, y, r) => {
    c.beginPath(); c.moveTo(x - r, y - r); c.lineTo(x + r, y + r);
    c.moveTo(x - r, y + r); c.lineTo(x + r, y - r); c.stroke();
  };
  const faultsAt = (s) => data.faults.map((one) => one.from <= data.start_s + s && data.start_s + s < one.until);

  function drawStage(stage) {
    const rect = stage.svg.getBoundingClientRect();
    if (!rect.width) return;
    const c = sized(stage.canvas, rect.width, rect.height), frame = frameAt(at);
    c.scale(rect.width / stage.box.width, rect.height / stage.box.height);
    const active = faultsAt(at), off = new Set(), cut = new Set();
    data.faults.forEach((one, i) => active[i] && one.poles.forEach((p) => (one.kind === "no power" ? off : cut).add(p)));
    c.lineWidth = 1;
    for (let p = 0; p < poles; p++) {
      const a = stage.stations[data.poles[p].commune], b = stage.spots[p];
      c.strokeStyle = cut.has(p) ? colours.silent : colours.rule;
      c.setLineDash(cut.has(p) ? [3, 4] : []);
      c.beginPath(); c.moveTo(a.x, a.y); c.lineTo(b.x, b.y); c.stroke();
    }
    c.setLineDash([]);
    if (!still) drawPackets(c, stage);
    for (const { x, y } of stage.stations) {
      c.fillStyle = colours.accent; c.strokeStyle = colours.card; c.lineWidth = 1.5;
      c.beginPath(); c.rect(x - 4.5, y - 4.5, 9, 9); c.fill(); c.stroke();
    }
    for (let p = 0; p < poles; p++) drawPole(c, stage.spots[p], kinds[p][frame], off.has(p), p === chosen);
  }

  function drawPackets(c, stage) {
    const reach = Math.ceil(FLIGHT_S / data.frame_s) + 1, frame = frameAt(at);
    for (let p = 0; p < poles; p++) {
      const a = stage.stations[data.poles[p].commune], b = stage.spots[p];
      for (let g = Math.max(0, frame - reach); g <= Math.min(frames - 1, frame + reach); g++) {
        const middle = (g + 0.5) * data.frame_s;
        const came = 1 - (middle - at) / FLIGHT_S;
        if (arrived[p][g] && came >= 0 && came < 1) {
          c.fillStyle = colours.packet; c.globalAlpha = 0.75;
          disc(c, a.x + (b.x - a.x) * came, a.y + (b.y - a.y) * came, 1.3 + Math.min(2, arrived[p][g] / 8)); c.fill();
        }
        const gone = (at - middle) / FLIGHT_S;
        if (lost[p][g] && gone >= 0 && gone < 1) {
          c.strokeStyle = colours.silent; c.lineWidth = 1.6; c.globalAlpha = 1 - gone;
          const part = 0.25 + 0.35 * gone;
          cross(c, a.x + (b.x - a.x) * part, a.y + (b.y - a.y) * part, 2.6);
        }
      }
    }
    c.globalAlpha = 1;
  }

  function drawPole(c, { x, y, r }, kind, isOff, isChosen) {
    const sounds = kind === "good" || kind === "fixed" || kind === "made";
    if (sounds) {
      c.fillStyle = colours[kind]; c.globalAlpha = 0.2;
      disc(c, x, y, r + 5 + (still || !playing ? 0 : 1.5 * Math.sin(at * 9 + x))); c.fill();
      c.globalAlpha = 1;
    }
    c.lineWidth = 1.4;
    if (kind === "nothing") {
      c.fillStyle = colours.card; c.strokeStyle = colours.soft; c.setLineDash(isOff ? [2, 2] : []);
      disc(c, x, y, r); c.fill(); c.stroke(); c.setLineDash([]);
    } else {
      c.fillStyle = colours[kind]; c.strokeStyle = colours.card;
      disc(c, x, y, r); c.fill(); c.stroke();
    }
    if (kind === "silent" || isOff) {
      c.strokeStyle = kind === "silent" ? colours.card : colours.bad; c.lineWidth = 1.8; cross(c, x, y, r - 2.4);
    }
    if (isChosen) { c.strokeStyle = colours.ink; c.lineWidth = 2; disc(c, x, y, r + 4); c.stroke(); }
  }

  // How many poles were in which state, over the whole stretch.
  const order = ["silent", "nothing", "made", "fixed"];
  const shares = Array.from({ length: frames }, (_, f) => {
    const count = { silent: 0, nothing: 0, made: 0, fixed: 0 };
    for (let p = 0; p < poles; p++) if (kinds[p][f] in count) count[kinds[p][f]]++;
    return count;
  });
  const broken = shares.map((one) => one.silent + one.made + one.fixed + (one.nothing < poles ? one.nothing : 0));
  const top = Math.max(4, ...broken);
  $("most").textContent = `Poles that were silent (red), made up (yellow), repaired (blue) or gave nothing (grey): ${Math.max(...broken)} of ${poles} at the most.`;
  function drawStrips() {
    const strip = $("strip"), own = $("own");
    const w = strip.clientWidth, h = strip.clientHeight, c = sized(strip, w, h), step = w / frames;
    for (let f = 0; f < frames; f++) {
      let y = h;
      for (const kind of order) {
        const high = Math.min(shares[f][kind] / top, 1) * (h - 4);
        if (!high) continue;
        c.fillStyle = colours[kind];
        c.fillRect(f * step, y - Math.max(high, 1.5), Math.max(step, 1) + 0.3, Math.max(high, 1.5)); y -= high;
      }
    }
    const o = sized(own, own.clientWidth, own.clientHeight);
    for (let f = 0; f < frames; f++) {
      if (kinds[chosen][f] === "good") continue;
      o.fillStyle = colours[kinds[chosen][f]];
      o.fillRect(f * step, 0, Math.max(step, 1) + 0.3, own.clientHeight);
    }
    for (const [context, high] of [[c, h], [o, own.clientHeight]]) {
      context.fillStyle = colours.ink; context.fillRect(at / data.length_s * w - 1, 0, 2, high);
    }
  }

  function tell() {
    const frame = frameAt(at), count = { good: 0, fixed: 0, made: 0, silent: 0, pause: 0, nothing: 0 };
    let gone = 0;
    for (let p = 0; p < poles; p++) {
      count[kinds[p][frame]]++;
      for (let g = Math.max(0, frame - Math.round(1 / data.frame_s) + 1); g <= frame; g++) gone += lost[p][g];
    }
    const words = { good: "sound as sent", fixed: "repaired", made: "made up", silent: "silent", pause: "in a pause", nothing: "nothing" };
    const parts = Object.keys(words).filter((kind) => count[kind]).map((kind) => `${count[kind]} ${words[kind]}`);
    now.textContent = `Of ${poles} poles: ${parts.join(", ")}. Packets lost in the last second: ${gone}.`;
    const off = data.faults.filter((one, i) => faultsAt(at)[i] && one.poles.includes(chosen)).map((one) => one.kind);
    said.textContent = `${data.poles[chosen].name}: ${[data.origins[origin[chosen][frame]], ...off].join(", ")}`
      + (chosen in sounds.by_pole ? "" : " (its sound is not in this page)");
    faultsAt(at).forEach((on, i) => document.querySelector(`[data-fault="${i}"]`)?.classList.toggle("on", on));
  }
  function draw() {
    clock.textContent = told(at);
    scrub.value = at;
    scrub.setAttribute("aria-valuetext", told(at));
    stages.forEach(drawStage);
    drawStrips();
    tell();
  }

  // Time: the sound's own where it plays, else the screen's.
  const hasSound = () => chosen in sounds.by_pole;
  function seek(s) {
    at = Math.min(data.length_s, Math.max(0, s));
    if (hasSound() && sound.readyState) sound.currentTime = Math.min(at, sound.duration || at);
    draw();
  }
  function choose(number) {
    if (number < 0) return;
    const was = playing;
    pause();
    chosen = number;
    poleBox.value = number;
    if (sound.src) { URL.revokeObjectURL(sound.src); sound.removeAttribute("src"); }
    if (hasSound()) {
      const bytes = Uint8Array.from(atob(sounds.by_pole[number]), (one) => one.charCodeAt(0));
      sound.src = URL.createObjectURL(new Blob([bytes], { type: sounds.type }));
      sound.addEventListener("loadedmetadata", () => { sound.currentTime = at; if (was) start(); }, { once: true });
    } else if (was) start();
    draw();
  }
  function start() {
    if (at >= data.length_s - data.frame_s) seek(0);
    playing = true;
    play.textContent = "❚❚"; play.setAttribute("aria-pressed", "true"); play.setAttribute("aria-label", "Pause");
    now.setAttribute("aria-live", "off");
    sound.playbackRate = +rate.value;
    if (hasSound()) sound.play().catch(() => {}); // without a sound card the screen's time goes on
    last = performance.now();
    setTimeout(tick, TICK_MS);
  }
  function pause() {
    playing = false;
    sound.pause();
    play.textContent = "▶"; play.setAttribute("aria-pressed", "false"); play.setAttribute("aria-label", "Play");
    now.setAttribute("aria-live", "polite");
  }
  function tick() {
    if (!playing) return;
    const then = performance.now();
    const heard = hasSound() && !sound.paused && !sound.ended && sound.currentTime > 0;
    at = heard ? sound.currentTime : at + (then - last) / 1000 * +rate.value;
    last = then;
    if (at >= data.length_s) { at = data.length_s; pause(); }
    draw();
    if (playing) setTimeout(tick, TICK_MS);
  }
  const breaks = Array.from({ length: frames }, (_, f) => f).filter((f) =>
    kinds.some((row) => ["made", "silent", "nothing"].includes(row[f]) && (row[f - 1] === "good" || row[f - 1] === "fixed")));
  const jump = (frame) => frame !== undefined && seek(frame * data.frame_s);

  play.addEventListener("click", () => playing ? pause() : start());
  scrub.addEventListener("input", () => seek(+scrub.value));
  const next = () => jump(breaks.find((one) => one > frameAt(at)));
  const previous = () => jump(breaks.findLast((one) => one < frameAt(at)));
  $("next").addEventListener("click", next);
  $("previous").addEventListener("click", previous);
  rate.addEventListener("change", () => { sound.playbackRate = +rate.value; });
  poleBox.addEventListener("change", () => choose(+poleBox.value));
  for (const id of ["strip", "own"]) {
    const canvas = $(id);
    const to = (event) => { const box = canvas.getBoundingClientRect(); seek((event.clientX - box.left) / box.width * data.length_s); };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); to(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) to(event); });
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const step = event.shiftKey ? data.frame_s : 1;
    const does = {
      " ": () => playing ? pause() : start(),
      ArrowLeft: () => seek(at - step), ArrowRight: () => seek(at + step),
      Home: () => seek(0), End: () => seek(data.length_s),
      n: next, p: previous,
    }[event.key.length > 1 ? event.key : event.key.toLowerCase()];
    if (does) { event.preventDefault(); does(); }
  });
  const refresh = () => { readColours(); draw(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  addEventListener("resize", refresh);
  readColours();
  at = (breaks[0] ?? 0) * data.frame_s;
  choose(chosen);
})();
