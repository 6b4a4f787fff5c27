/** A worker's side of its supervisor. */
import type { FromWorker, ToWorker } from "./messages.ts";

export interface Supervised {
  /** Resolves, with who, when this process is to stop: it is told to, or its supervisor is gone, however it ended. */
  readonly stopAsked: Promise<string>;
  listening(url: string): void;
  /** Resolves when the supervisor has been told, or cannot be. */
  failed(error: unknown): Promise<void>;
  /** The channel keeps this process alive until then. */
  leave(): void;
}

export function joinSupervisor(): Supervised {
  const { promise, resolve } = Promise.withResolvers<string>();
  const gone = (): void => resolve("supervisor is gone");
  process.on("message", (message: ToWorker) => {
    if (message === "ping") void tell({ type: "pong" });
    else resolve("supervisor");
  });
  process.once("disconnect", gone);
  if (!process.connected) gone();
  return {
    stopAsked: promise,
    listening: (url) => void tell({ type: "listening", url }),
    failed: (error) => tell({ type: "failed", code: codeOf(error) }),
    leave() {
      process.removeListener("disconnect", gone);
      if (process.connected) process.disconnect();
    },
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "failure";
}

function tell(message: FromWorker): Promise<void> {
  if (!process.connected) return Promise.resolve();
  return new Promise((resolve) => {
    process.send?.(message, undefined, undefined, () => resolve());
  });
}
