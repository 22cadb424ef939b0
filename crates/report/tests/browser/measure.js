// What a reader would see of the page, measured.
(() => {
  const rgb = text => (text.match(/[\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => {
    const part = v => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const opaque = color => color !== 'none' && color !== 'transparent' && !(rgb(color).length === 4 && rgb(color)[3] === 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (opaque(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const contrast = (a, b) => {
    const [x, y] = [luminance(rgb(a)), luminance(rgb(b))];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  };
  const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const name = element => element.tagName + ' ' + (element.textContent || '').slice(0, 40);

  const svgs = [...document.querySelectorAll('svg')].map(svg => {
    const box = svg.getBoundingClientRect();
    const shapes = [...svg.querySelectorAll('polyline, rect, circle, line, polygon, path')];
    const visible = shapes.filter(shape => {
      const [size, style] = [shape.getBoundingClientRect(), getComputedStyle(shape)];
      return size.width + size.height > 0 && style.visibility === 'visible' && (opaque(style.stroke) || opaque(style.fill));
    });
    const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent.trim());
    const scale = box.width / svg.viewBox.baseVal.width;
    const boxes = texts.map(text => text.getBoundingClientRect());
    const overlap = boxes.some((a, i) => boxes.some((b, j) =>
      i < j && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3));
    return {
      label: svg.getAttribute('aria-label'),
      width: box.width, height: box.height, shapes: visible.length, texts: texts.length,
      smallest_text: Math.min(...texts.map(text => parseFloat(getComputedStyle(text).fontSize) * scale)),
      outside: [...visible, ...texts].filter(e => !inside(e.getBoundingClientRect(), box)).map(name),
      overlap,
      curves: [...svg.querySelectorAll('polyline')].filter(e => !/axis|grid/.test(e.getAttribute('class')))
        .map(e => contrast(getComputedStyle(e).stroke, behind(svg))),
    };
  });
  const words = [...document.querySelectorAll('h1, h2, h3, p, li, dt, dd, summary, .key, .state, pre, .pairs th, .pairs td')];
  return {
    title: document.title,
    page_width: document.documentElement.scrollWidth,
    window_width: innerWidth,
    too_wide: [...document.body.querySelectorAll('*')].filter(element =>
      element.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !element.closest('.scroll, pre, svg')).map(name),
    headings: [...document.querySelectorAll('h2')].map(h => h.textContent),
    top_of_findings: document.querySelector('#findings').getBoundingClientRect().top,
    background: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    faint: words.filter(e => e.textContent.trim() && e.offsetParent && contrast(getComputedStyle(e).color, behind(e)) < 4.5).map(name),
    resources: performance.getEntriesByType('resource').map(entry => entry.name),
    scripts: document.scripts.length,
    svgs,
  };
})()
