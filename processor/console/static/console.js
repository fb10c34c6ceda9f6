// What the pages do beyond links and forms. Without it everything works; it only is not live.
"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const by = (id) => document.getElementById(id);

  // ---- times: in the viewer's zone, and distances that go on

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const chosen = document.cookie.split("; ").some((x) => x.startsWith("orderhalt_zone="));
  if (zone && !chosen) {
    document.cookie = `orderhalt_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
    if (root.dataset.zone !== zone && document.cookie.includes("orderhalt_zone=")) {
      location.reload();
    }
  }

  const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const relative = new Intl.RelativeTimeFormat(root.lang, { numeric: "always" });
  const distances = () => {
    for (const element of document.querySelectorAll("time[data-distance]")) {
      const seconds = (Date.parse(element.dateTime) - Date.now()) / 1000;
      const [unit, size] = STEPS.find(([, size]) => Math.abs(seconds) >= size * 1.5) || STEPS[3];
      element.textContent = relative.format(Math.round(seconds / size), unit);
    }
  };
  setInterval(distances, 15000);

  // ---- the page that waits until the replica has been read

  const wait = by("wait");
  if (wait) {
    setInterval(async () => {
      const answer = await fetch("/readyz").catch(() => null);
      if (answer && answer.ok) location.reload();
    }, 1000);
  }

  const print = by("print");
  if (print) {
    print.hidden = false;
    print.addEventListener("click", () => window.print());
  }

  // ---- the list, live

  const live = by("live");
  if (!live) return;
  const words = live.dataset;
  const state = by("live-state");
  const text = by("live-text");
  const pause = by("live-pause");
  const lost = by("lost");
  const kafka = by("kafka");
  const announce = by("announce");
  let paused = false;
  let connected = false;
  let waiting = 0; // changes that the list does not show yet
  let announced = 0; // changes since the last announcement
  let timer = 0;
  let recent = 0; // changes within the last seconds: many of them slow the list down

  const show = () => {
    live.classList.toggle("paused", paused);
    live.classList.toggle("lost", !connected || !kafka.hidden);
    const many = waiting === 1 ? words.waitingOne : words.waiting.replace("{count}", waiting);
    const changes = waiting ? ` · ${many}` : "";
    text.textContent = !connected ? words.lost : paused ? words.paused + changes
      : kafka.hidden ? words.live : words.stale;
    pause.textContent = paused ? words.resume : words.pause;
  };

  const here = () => (by("list") ? by("list").dataset.here : location.href);
  const refresh = () => {
    timer = 0;
    if (paused || document.hidden) return;
    waiting = 0;
    const before = new Set([...document.querySelectorAll("tr.halt")].map((x) => x.id));
    const focused = document.activeElement && document.activeElement.id;
    htmx.ajax("GET", here(), { target: "#results", swap: "innerHTML show:none" }).then(() => {
      for (const row of document.querySelectorAll("tr.halt")) {
        if (!before.has(row.id)) row.classList.add("fresh");
      }
      // The row that had the focus may be gone: then it goes to the list, not to the page's start.
      if (focused && document.activeElement === document.body) {
        const row = by(focused) || by("results");
        if (!row.hasAttribute("tabindex") && row.id === "results") row.tabIndex = -1;
        row.focus({ preventScroll: true });
      }
      show();
    });
  };
  const soon = () => {
    if (paused) show();
    else if (!timer) timer = setTimeout(refresh, recent > 100 ? 5000 + Math.random() * 5000 : 250);
  };

  setInterval(() => { recent = 0; }, 5000);
  setInterval(() => {
    if (announced && !paused) {
      announce.textContent = announced === 1 ? words.one : words.many.replace("{count}", announced);
      announced = 0;
    }
  }, 4000);

  // A browser comes back by itself after a broken connection, but not after a refusal.
  let source;
  let place = words.place;
  const connect = () => {
    const address = new URL(words.url, location.href);
    address.searchParams.set("after", place);
    source = new EventSource(address);
    source.addEventListener("open", () => { connected = true; lost.hidden = true; show(); });
    source.addEventListener("error", () => {
      connected = false;
      lost.hidden = false;
      show();
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
    });
    source.addEventListener("changes", (event) => {
      place = event.lastEventId;
      const count = JSON.parse(event.data).changes.length;
      waiting += count;
      announced += count;
      recent += count;
      soon();
    });
    source.addEventListener("reset", (event) => { place = event.lastEventId; soon(); });
    source.addEventListener("state", (event) => {
      kafka.hidden = JSON.parse(event.data).connected;
      show();
    });
  };
  connect();

  state.hidden = pause.hidden = false;
  pause.addEventListener("click", () => { paused = !paused; show(); if (!paused && waiting) refresh(); });
  by("refresh").addEventListener("click", (event) => {
    event.preventDefault();
    const was = paused;
    paused = false;
    refresh();
    paused = was;
  });
  // Who filters without seeing is told what has come of it.
  document.body.addEventListener("htmx:afterSettle", (event) => {
    const asked = event.detail.requestConfig;
    if (asked && asked.elt.id === "filters") {
      announce.textContent = document.querySelector("#list .total").textContent;
    }
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && waiting) soon(); });
  window.addEventListener("pagehide", () => source.close());
  show();
})();
