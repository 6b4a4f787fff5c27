/** A page of Debian's Chromium that talks to nothing but us, and fails the test on any console error. */
import type { TestContext } from "node:test";
import { chromium, type Page } from "playwright-core";
import { chromiumPath } from "../../support/need.ts";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface OpenPage {
  readonly page: Page;
  /** Console errors, uncaught exceptions and requests to elsewhere, as they came. */
  readonly faults: readonly string[];
}

export async function openPage(t: TestContext, url: string, options: { colorScheme: "dark" | "light" }): Promise<OpenPage> {
  const browser = await chromium.launch({ executablePath: chromiumPath(), headless: true, args: FLAGS });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 }, ...options });
  page.setDefaultTimeout(15_000);
  const faults: string[] = [];
  const { origin } = new URL(url);
  page.on(
    "console",
    (message) => void (message.type() === "error" || message.type() === "warning" ? faults.push(message.text()) : undefined),
  );
  page.on("pageerror", (error) => void faults.push(String(error)));
  page.on("request", (request) => void (new URL(request.url()).origin === origin ? undefined : faults.push(`asked ${request.url()}`)));
  await page.goto(url);
  return { page, faults };
}
