// What a page needs beyond HTML: the wait before a code may be sent again.
(() => {
  "use strict";

  function startWait(button) {
    const label = button.textContent.trim();
    const words = button.dataset.waitWords;
    let left = Number(button.dataset.waitSeconds);
    const tick = () => {
      if (left <= 0) {
        button.disabled = false;
        button.textContent = label;
        return;
      }
      button.disabled = true;
      button.textContent = words.replace("%s", String(left));
      left -= 1;
      setTimeout(tick, 1000);
    };
    tick();
  }

  document.querySelectorAll("[data-wait-seconds]").forEach(startWait);
})();
