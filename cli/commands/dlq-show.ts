import { isUtf8 } from "node:buffer";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { letterData, letterLine, oneLine, type Letter } from "../dlq/letter.ts";
import { scanLetters } from "../dlq/scan.ts";
import { EXIT } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import { openKafka } from "../open-kafka.ts";

export interface ShowOptions extends CommonOptions {
  readonly raw?: boolean;
}

/** Of a value, for people; --raw has all of it. Bytes. */
const SHOWN_BYTES = 4096;

/** `sluice dlq show`: one letter with its value; with --json the value in base64. */
export async function run([partition, offset]: readonly [number, number], options: ShowOptions): Promise<number> {
  const { config, logger, output } = commandContext(options, { quietLevel: "warn" });
  const log = openKafka(config, logger);
  try {
    const filter = { partition, firstOffset: offset, lastOffset: offset };
    for await (const { letters } of scanLetters(log, config.topics.dlq, filter)) {
      if (letters.length === 0) continue;
      const [letter] = letters;
      if (options.raw === true) process.stdout.write(letter.value ?? Buffer.alloc(0));
      else
        output.result(letterText(letter), {
          ...letterData(letter),
          headers: headerTexts(letter),
          value: letter.value?.toString("base64") ?? null,
        });
      return EXIT.ok;
    }
    throw new CommandFailure("no-letter", `${config.topics.dlq} has no record at ${partition}/${offset}`);
  } finally {
    await log.close();
  }
}

function letterText(letter: Letter): string {
  return [
    letterLine(letter),
    `source: ${oneLine(letter.source)}`,
    ...Object.entries(headerTexts(letter)).map(([name, value]) => `header ${oneLine(name)}: ${oneLine(value ?? "null")}`),
    valueText(letter.value),
  ].join("\n");
}

function headerTexts({ headers }: Letter): Record<string, string | null> {
  return Object.fromEntries(headers.map(({ key, value }) => [key, value === null ? null : Buffer.from(value).toString()]));
}

function valueText(value: Buffer | null): string {
  if (value === null) return "no value";
  const shown = value.subarray(0, SHOWN_BYTES);
  const rest = value.length > SHOWN_BYTES ? `\n(${value.length - SHOWN_BYTES} bytes more: --raw)` : "";
  return isUtf8(value) ? `value: ${oneLine(shown.toString())}${rest}` : `value (hex): ${shown.toString("hex")}${rest}`;
}
