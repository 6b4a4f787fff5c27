/** Renders at most once a frame, and not more often than `minIntervalMs`, however many events come. */

/**
 * @param {() => void} render
 * @returns {() => void} asks for a render
 */
export function onFrame(render, minIntervalMs = 0) {
  let asked = false;
  let lastMs = -Infinity;
  const frame = (nowMs) => {
    if (nowMs - lastMs < minIntervalMs) {
      requestAnimationFrame(frame);
      return;
    }
    asked = false;
    lastMs = nowMs;
    render();
  };
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(frame);
  };
}
