// Draws each figure when it comes into view, in the colours of the screen's theme.
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };

  function repainted(text) {
    if (!dark.matches) return text;
    const colours = JSON.parse(document.getElementById("dark-colours").textContent);
    for (const [light, night] of Object.entries(colours)) text = text.replaceAll(`"${light}"`, `"${night}"`);
    return text;
  }

  function draw(plot) {
    const figure = JSON.parse(repainted(plot.parentElement.querySelector("script").textContent));
    if (plot.clientWidth < 520) {
      figure.layout.margin = { ...figure.layout.margin, l: 40, r: 4 };
      if (!figure.layout.xaxis.tickvals) figure.layout.xaxis = { nticks: 4, tickangle: 0, ...figure.layout.xaxis };
    }
    Plotly.newPlot(plot, figure.data, figure.layout, config).then(() => {
      plot.classList.add("drawn");
      const base = plot.dataset.windowBase;
      if (base) plot.on("plotly_click", (event) => {
        const link = event.points[0].customdata;
        if (Array.isArray(link) && /^-?\d+$/.test(link[0])) location.assign(base + link[0] + plot.dataset.windowQuery);
      });
    });
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "300px" });

  function watch() {
    for (const plot of document.querySelectorAll(".plot:not(.drawn)")) {
      plot.style.height = `${plot.dataset.height}px`;
      seen.observe(plot);
    }
  }

  dark.addEventListener("change", () => document.querySelectorAll(".plot.drawn").forEach(draw));
  document.addEventListener("mlhealth:refreshed", watch);
  watch();
})();
