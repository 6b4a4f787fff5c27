/** Asks again and again while the page is seen: never twice at a time, at once when it is asked to hurry. */

/** Times the interval while the worker is away: it comes back to a few questions, not to a storm. */
const AWAY_FACTOR = 5;

const polls = new Set();
let away = false;

/** Told by the stream, which is the first to know. All ask at once when the worker is back. */
export function setAway(isAway) {
  const isBack = away && !isAway;
  away = isAway;
  if (isBack) for (const run of polls) void run();
}

/**
 * @param {() => Promise<void>} ask
 * @param {(error: Error | undefined) => void} onOutcome
 * @returns {() => void} hurries
 */
export function poll(ask, intervalMs, onOutcome) {
  let timer;
  let asking = false;
  let again = false;
  const run = async () => {
    clearTimeout(timer);
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    again = false;
    try {
      await ask();
      onOutcome(undefined);
    } catch (error) {
      onOutcome(error);
    }
    asking = false;
    if (!document.hidden) timer = setTimeout(run, again ? 0 : intervalMs * (away ? AWAY_FACTOR : 1));
  };
  polls.add(run);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void run();
  });
  void run();
  return () => void run();
}
