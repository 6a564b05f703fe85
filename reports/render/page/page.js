// What a report does: it filters, follows anchors into what is folded, copies, and turns light and dark. It works
// without this: everything can be unfolded by hand.
'use strict';
{
  const opened = performance.now();
  const root = document.documentElement;
  const items = Array.from(document.querySelectorAll('[data-verdict]'));
  const filter = document.getElementById('filter');
  const status = document.getElementById('shown');

  // --- Filter ---
  const words = new Map(); // Of each item, made when the first word is typed.
  const wordsOf = (item) => {
    let text = words.get(item);
    if (text === undefined) {
      text = item.textContent.toLowerCase();
      words.set(item, text);
    }
    return text;
  };
  const apply = () => {
    const begun = performance.now();
    const wanted = filter.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const area = filter.elements.area.value;
    const level = filter.elements.level.value;
    const harm = filter.elements.harm.value;
    const differing = filter.elements.differs !== undefined && filter.elements.differs.checked;
    const verdicts = new Set(
        Array.from(filter.querySelectorAll('input[name=verdict]:checked'), (input) => input.value));
    let shown = 0;
    for (const item of items) {
      const data = item.dataset;
      const fits = data.verdict.split(' ').some((verdict) => verdicts.has(verdict)) &&
          (!differing || data.differs !== undefined || item.localName !== 'tr') && (area === '' || data.area === area) && (level === '' || data.level === level) &&
          (harm === '' || data.harm === harm) &&
          wanted.every((word) => wordsOf(item).includes(word));
      item.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    for (const holder of document.querySelectorAll('.holder')) {
      const inside = holder.querySelectorAll('[data-verdict]:not([hidden])').length;
      holder.hidden = inside === 0;
      const count = holder.querySelector('.count');
      if (count) {
        count.textContent = inside;
      }
    }
    status.textContent = `${shown} of ${items.length} shown`;
    root.dataset.filterMs = (performance.now() - begun).toFixed(1);
  };
  if (filter) {
    filter.hidden = false;
    filter.addEventListener('input', apply);
    filter.addEventListener('submit', (event) => event.preventDefault());
    filter.addEventListener('reset', () => setTimeout(apply));
    status.textContent = `${items.length} of ${items.length} shown`;
  }

  // --- Anchors: what they lead to is unfolded, and shown whatever the filter says ---
  const follow = () => {
    let id = location.hash.slice(1);
    try {
      id = decodeURIComponent(id);
    } catch {
      return;
    }
    const target = id === '' ? null : document.getElementById(id);
    for (let at = target; at; at = at.parentElement) {
      at.hidden = false;
      if (at instanceof HTMLDetailsElement) {
        at.open = true;
      }
    }
    if (target) {
      target.scrollIntoView();
    }
  };
  addEventListener('hashchange', follow);
  follow();

  // --- Copy ---
  const copy = async (code, button) => {
    let done = true;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      done = document.execCommand('copy');
    }
    button.textContent = done ? 'Copied' : 'Selected';
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  };
  for (const code of document.querySelectorAll('.again code')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'Copy';
    button.addEventListener('click', () => copy(code, button));
    code.after(button);
  }

  // --- Light and dark ---
  const theme = document.getElementById('theme');
  if (theme) {
    theme.hidden = false;
    theme.addEventListener('click', () => {
      const is_dark = root.dataset.theme ? root.dataset.theme === 'dark'
                                         : matchMedia('(prefers-color-scheme: dark)').matches;
      root.dataset.theme = is_dark ? 'light' : 'dark';
    });
  }

  // --- Print: what failed is unfolded ---
  addEventListener('beforeprint', () => {
    for (const outcome of document.querySelectorAll('details.outcome')) {
      outcome.open = true;
    }
  });
  root.dataset.openMs = (performance.now() - opened).toFixed(1);
}
