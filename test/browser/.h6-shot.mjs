import { chromium } from "playwright-core";
const b = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: ["--no-sandbox","--disable-gpu","--disable-quic","--no-first-run","--disable-background-networking","--disable-component-update","--disable-sync"] });
const p = await b.newPage({ viewport: { width: 1600, height: 1080 }, colorScheme: "dark" });
p.on("console", (m) => console.log(m.type(), m.text())); p.on("pageerror", (e) => console.log("pageerror", e.stack));
await p.goto(process.argv[2]); await new Promise((r) => setTimeout(r, Number(process.argv[4] ?? 25000)));
console.log(await p.evaluate(() => JSON.stringify({conn: document.getElementById("connection-text").textContent, notice: document.getElementById("notice").textContent, heap: performance.memory?.usedJSHeapSize, nodes: document.querySelectorAll("*").length})));
await p.screenshot({ path: process.argv[3], fullPage: true }); await b.close();
