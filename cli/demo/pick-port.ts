import { once } from "node:events";
import { createServer } from "node:net";

/** The wanted port, or 0 (any) when something else listens there. */
export async function pickPort(host: string, wanted: number): Promise<number> {
  const probe = createServer();
  try {
    probe.listen(wanted, host);
    await once(probe, "listening");
    return wanted;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return 0;
    throw error;
  } finally {
    if (probe.listening) await new Promise((done) => probe.close(done));
  }
}
