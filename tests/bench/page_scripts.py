"""What the bench asks of the page: selectors and JavaScript."""

VISIBLE = '[data-screen="room"] #timeline li.message'
TIMES = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null,
  usable: performance.getEntriesByName("agentgather:usable")[0]?.startTime ?? null,
})"""
ASSETS = """() => {
  const files = performance.getEntriesByType("resource")
    .filter((entry) => new URL(entry.name).pathname.includes("/assets/"));
  const all = [...performance.getEntriesByType("navigation"), ...files];
  return { count: all.length, bytes: all.reduce((sum, entry) => sum + entry.decodedBodySize, 0) };
}"""
# Resolves with the time at which the next message was painted: the first frame's callback is
# before it is, the second's after.
AWAIT_MESSAGE = """() => {
  window.painted = new Promise((done) => {
    const last = () => [...document.querySelectorAll("#timeline li.message")].at(-1)?.dataset.id;
    const before = last();
    const observer = new MutationObserver(() => {
      if (last() === before) return;
      observer.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(
        () => done(performance.timeOrigin + performance.now())));
    });
    observer.observe(document.querySelector("#timeline"), { childList: true, subtree: true });
  });
}"""
IS_SHOWN = """id => Boolean(document.querySelector(`#timeline li.message[data-id="${id}"]`))"""
