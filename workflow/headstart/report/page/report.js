// What the page does where scripts run: values at the pointer, toggles, sorting, pictures on demand.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (kind, settings = {}) => Object.assign(document.createElement(kind), settings);
  document.documentElement.classList.add("scripted");

  const tip = document.body.appendChild(make("div", { id: "tip", hidden: true }));
  for (const title of all(".chart title")) {
    title.parentElement.dataset.told = title.textContent;
    title.remove();
  }
  document.addEventListener("pointerover", (event) => {
    const told = event.target.closest?.("[data-told]")?.dataset.told;
    tip.hidden = !told;
    if (!told) return;
    tip.textContent = told;
    const room = window.innerWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 12, room))}px`;
    tip.style.top = `${event.clientY > 60 ? event.clientY - tip.offsetHeight - 10 : event.clientY + 14}px`;
  });

  const boxes = all(".controls input");
  const show = () => {
    const off = { strategy: new Set(), seed: new Set() };
    for (const box of boxes) if (!box.checked) off[box.name].add(box.value);
    for (const each of all("[data-strategy], [data-seed]"))
      each.classList.toggle("off", off.strategy.has(each.dataset.strategy) || off.seed.has(each.dataset.seed));
  };
  for (const box of boxes) box.addEventListener("change", show);
  if (boxes.length) show();

  const order = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
  };
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.ariaSort === "ascending" ? -1 : 1;
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
        const value = (row) => row.cells[column].dataset.value;
        const rows = [...table.tBodies[0].rows];
        rows.sort((x, y) => {
          const [a, b] = [value(x), value(y)];
          return (a === "" || b === "" ? 1 : down) * order(a, b);
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  const album = JSON.parse(document.getElementById("album").textContent);
  for (const cell of all("[data-pictures]")) {
    const button = make("button", { type: "button" });
    button.append(...cell.childNodes);
    button.setAttribute("aria-label", cell.dataset.name);
    cell.append(button);
    button.addEventListener("click", () => {
      const panel = document.getElementById(cell.dataset.panel);
      const numbers = cell.dataset.pictures.split(" ").filter(Boolean);
      const list = make("ul", { className: "pictures" });
      for (const { id, source } of numbers.map((number) => album[number])) {
        const item = make("li");
        item.append(make("img", { src: source, alt: id, title: id }), make("span", { className: "id", textContent: id.split("/").pop() }));
        list.append(item);
      }
      const rest = cell.dataset.count - numbers.length;
      const more = rest > 0 && numbers.length ? `, ${numbers.length} of them here` : "";
      panel.replaceChildren(make("p", { textContent: `${cell.dataset.name}${more}.` }), list);
    });
  }

  for (const slider of all(".slider")) {
    const shown = all("[data-step]", slider.closest("section"));
    const move = () => {
      for (const each of shown) each.hidden = each.dataset.step !== slider.value;
      slider.setAttribute("aria-valuetext", shown[slider.value].dataset.name);
    };
    slider.addEventListener("input", move);
    move();
  }
})();
