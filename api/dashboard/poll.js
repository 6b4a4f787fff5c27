/** Asks again and again while the page is seen: never twice at a time, at once when it is asked to hurry. */

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
    if (!document.hidden) timer = setTimeout(run, again ? 0 : intervalMs);
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void run();
  });
  void run();
  return () => void run();
}
