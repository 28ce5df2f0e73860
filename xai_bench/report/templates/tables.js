document.querySelectorAll("table:not(.plain)").forEach(table => {
  const rows = table.tBodies[0].rows.length, long = table.matches(".long") && rows > 20;
  if (rows < 2) return;
  const box = table.closest(".scroll"), title = table.caption.textContent;
  const api = new DataTable(table, {
    paging: long, pageLength: 20, info: false, order: [], autoWidth: false, orderMulti: false,
    layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: long ? "paging" : null },
    columnDefs: [{ targets: "_all", orderSequence: ["desc", "asc"] }, { targets: [0, ".text"], orderSequence: ["asc", "desc"] }],
  });
  const tools = document.createElement("div");
  tools.className = "tools";
  if (rows > 7) {
    const field = document.createElement("input");
    field.type = "search"; field.placeholder = "Search"; field.setAttribute("aria-label", `Search: ${title}`);
    field.oninput = () => api.search(field.value).draw();
    tools.append(field);
  }
  const save = document.createElement("button");
  save.type = "button"; save.textContent = "CSV"; save.setAttribute("aria-label", `CSV: ${title}`);
  save.onclick = () => {
    const quoted = text => `"${text.trim().replaceAll('"', '""')}"`;
    const order = api.rows({ order: "applied", search: "applied" }).nodes().toArray();
    const heads = api.columns().header().toArray();
    const lines = [heads, ...order.map(row => [...row.cells])].map(cells => cells.map(cell => quoted(cell.dataset.order ?? cell.textContent)).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n")], { type: "text/csv" }));
    link.download = `${title.toLowerCase().replace(/[^a-z0-9]+/g, "_").slice(0, 60)}.csv`;
    link.click();
  };
  tools.append(save);
  box.before(tools);
});
