// Search by key, forms that send themselves, and a page that renews itself and leaves the reader's place alone.
"use strict";
(() => {
  function bind() {
    for (const field of document.querySelectorAll("[data-submit]")) field.onchange = () => field.form.requestSubmit();
  }

  function busy(main) {
    const field = document.activeElement;
    return main.contains(field) && field !== main && /^(INPUT|TEXTAREA|SELECT)$/.test(field.tagName);
  }

  async function renew() {
    const main = document.getElementById("main");
    if (!busy(main)) {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
      if (answer && answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
        if (fresh) {
          const opened = [...main.querySelectorAll("details[open][id]")].map((part) => part.id);
          main.replaceChildren(...fresh.childNodes);
          for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
          bind();
          document.dispatchEvent(new Event("mlhealth:refreshed"));
        }
      }
    }
  }

  async function refresh() {
    if (!document.hidden) await renew();
    schedule();
  }

  // The service says when there is news; what comes while nobody looks is fetched when somebody does.
  function listen() {
    const light = document.getElementById("live");
    if (!light || !window.EventSource) return;
    const stream = new EventSource("/live");
    let seen = null;
    let waiting = false;
    async function news(event) {
      light.dataset.state = "on";
      light.textContent = "live";
      const isNew = seen !== null && event.data !== seen;
      seen = event.data;
      if (!isNew) return;
      if (document.hidden) waiting = true;
      else await renew();
    }
    stream.addEventListener("hello", news);
    stream.addEventListener("news", news);
    stream.onerror = () => {
      light.dataset.state = "off";
      light.textContent = "not live";
    };
    document.addEventListener("visibilitychange", async () => {
      if (document.hidden || !waiting) return;
      waiting = false;
      await renew();
    });
    addEventListener("pagehide", () => stream.close());
  }

  function schedule() {
    const seconds = Number(document.getElementById("main").dataset.refresh);
    if (seconds > 0) setTimeout(refresh, seconds * 1000);
  }

  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  });
  bind();
  schedule();
  listen();
})();
