/** GET with the path as it stands: fetch() and inject() resolve dots and backslashes in it, as an attacker's client does not. */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";

export async function rawGet(base: string, path: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(base);
  const asked = request({ hostname, port, path, headers });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const status = response.statusCode ?? 0;
  // it may be a stream without an end
  if (response.headers["content-type"] === "text/event-stream") {
    asked.destroy();
    return { status, body: "" };
  }
  return { status, body: Buffer.concat(await response.toArray()).toString() };
}
