// Search by key, forms that send themselves, and a refresh that leaves the reader's place alone.
"use strict";
(() => {
  function bind() {
    for (const field of document.querySelectorAll("[data-submit]")) field.onchange = () => field.form.requestSubmit();
  }

  async function refresh() {
    const main = document.getElementById("main");
    if (!document.hidden && !main.contains(document.activeElement)) {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
      if (answer && answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
        if (fresh) {
          main.replaceChildren(...fresh.childNodes);
          bind();
          document.dispatchEvent(new Event("mlhealth:refreshed"));
        }
      }
    }
    schedule();
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
})();
