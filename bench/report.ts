/** Where benchmarks print: tables and JSON on stdout. */
import { Console } from "node:console";

export const report = new Console(process.stdout, process.stderr);
