document.querySelectorAll("table").forEach(table => {
  const heads = [...table.querySelectorAll("tr.sorts th")], shift = table.tHead.rows.length > 1 ? 1 : 0;
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button"; button.append(...head.childNodes); head.append(button);
    button.onclick = () => {
      const up = head.getAttribute("aria-sort") === "descending", column = i + shift;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter(row => !row.matches(".heading, .control"));
        const key = row => { const c = row.cells[column]; return c.dataset.v !== undefined ? +c.dataset.v : c.matches("th, .text") ? c.textContent : NaN; };
        const order = (a, b) => typeof a === "string" ? b.localeCompare(a) : isNaN(a) ? (isNaN(b) ? 0 : Infinity) : isNaN(b) ? -Infinity : b - a;
        const sorted = rows.slice().sort((a, b) => { const d = order(key(a), key(b)); return isFinite(d) && up ? -d : d; });
        const end = [...body.rows].find(row => row.matches(".control")) || null;
        sorted.forEach(row => body.insertBefore(row, end));
      }
    };
  });
});
