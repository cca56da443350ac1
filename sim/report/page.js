"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("nodes");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const plain = (s) => s.normalize("NFD").replace(/[\u0300-\u036f]/g, "").replace(/đ/gi, "d").toLowerCase();

  // Sort: numbers by data-v (nothing played sorts last either way), names the Vietnamese way.
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => head.firstElementChild.addEventListener("click", () => {
    const numeric = head.classList.contains("n");
    const was = head.getAttribute("aria-sort");
    const down = was === "none" ? numeric : was === "ascending";
    heads.forEach((one) => one.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => numeric ? row.cells[i].dataset.v : row.cells[i].textContent;
    rows.sort((a, b) => {
      const x = key(a), y = key(b);
      if (numeric && (x === "" || y === "")) return (x === "") - (y === "");
      const order = numeric ? x - y : x.localeCompare(y, "vi", { numeric: true });
      return down ? -order : order;
    });
    body.append(...rows);
  }));

  // Find, with or without the diacritics.
  const find = document.getElementById("find");
  const shown = document.getElementById("shown");
  const texts = new Map(rows.map((row) => [row, plain(row.textContent)]));
  find.addEventListener("input", () => {
    const want = plain(find.value.trim());
    let count = 0;
    for (const row of rows) {
      row.hidden = !texts.get(row).includes(want);
      count += !row.hidden;
    }
    shown.textContent = want ? `${count} of ${rows.length} clusters.` : "";
  });

  // A cluster pointed at on the map is marked in the table, and the other way round.
  const marks = [...document.querySelectorAll("[data-node]")];
  const mark = (node) => marks.forEach((one) => one.classList.toggle("on", one.dataset.node === node));
  for (const one of marks) {
    one.addEventListener("mouseenter", () => mark(one.dataset.node));
    if (one.tagName !== "TR") one.addEventListener("click", () => {
      mark(one.dataset.node);
      rows.find((row) => row.dataset.node === one.dataset.node)?.scrollIntoView({ block: "center" });
    });
  }

  // Say what lies under the pointer in the raster.
  const raster = data.raster.map((row) => row.split(" ").flatMap((word) => {
    const [origin, count] = word.split("*").map(Number);
    return Array(count).fill(origin);
  }));
  const readout = document.getElementById("readout");
  for (const image of document.querySelectorAll(".raster")) {
    image.addEventListener("mousemove", (event) => {
      const box = image.getBoundingClientRect();
      const row = Math.floor((event.clientY - box.top) / box.height * raster.length);
      const line = raster[row];
      if (!line) return;
      const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 0.9999);
      const origin = line[Math.floor(part * line.length)];
      const at = (part * data.duration_s).toFixed(data.duration_s < 300 ? 1 : 0);
      readout.textContent = `${data.names[row]}, ${at} s: ${data.origins[origin]}`;
    });
    image.addEventListener("mouseleave", () => { readout.textContent = ""; });
  }

  // Paper cannot be unfolded.
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
  });

  // One horn at a time.
  const players = [...document.querySelectorAll("audio")];
  players.forEach((one) => one.addEventListener("play", () => {
    players.forEach((other) => { if (other !== one) other.pause(); });
  }));
})();
