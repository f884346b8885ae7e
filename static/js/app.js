// What a page needs beyond HTML: the wait before a code may be sent again, the life of a member's code,
// sharing and copying a link.
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

  // Counts the code down and asks htmx for the next one; a page out of sight waits until it is seen.
  function showLife(card) {
    let timer;
    let tick = () => {};
    const start = () => {
      clearTimeout(timer);
      const label = card.querySelector("[data-code-left]");
      if (!label) return;
      const bar = card.querySelector("progress");
      // The clock and not a count of ticks: timers sleep with the phone.
      const over = Date.now() + Number(label.dataset.codeLeft) * 1000;
      bar.hidden = false;
      card.classList.remove("code__now--over");
      tick = () => {
        clearTimeout(timer);
        const left = Math.max(Math.ceil((over - Date.now()) / 1000), 0);
        label.textContent = label.dataset.codeWords.replace("%s", String(left));
        bar.value = left;
        if (left > 0) {
          timer = setTimeout(tick, 1000);
          return;
        }
        card.classList.add("code__now--over");
        if (document.hidden) return;
        card.dispatchEvent(new Event("renew"));
        // Comes to nothing when the answer begins anew; repeats when there was none.
        timer = setTimeout(tick, 5000);
      };
      tick();
    };
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) tick();
    });
    card.addEventListener("htmx:afterSwap", start);
    start();
  }

  // Buttons that only some browsers can keep the promise of; the link itself stands beside them.
  function offerShare(button) {
    if (!navigator.share) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      // Closing the system's sheet is no failure.
      navigator.share({ text: button.dataset.shareWords, url: button.dataset.share }).catch(() => {});
    });
  }

  function offerCopy(button) {
    if (!navigator.clipboard) return;
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = button.dataset.copiedWords;
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }

  document.querySelectorAll("[data-share]").forEach(offerShare);
  document.querySelectorAll("[data-copy]").forEach(offerCopy);
  document.querySelectorAll("[data-code]").forEach(showLife);
  document.querySelectorAll("[data-wait-seconds]").forEach(startWait);
})();
