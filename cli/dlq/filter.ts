import { sourceOf, type Letter } from "./letter.ts";

/** Which letters are meant; what is absent does not restrict. */
export interface LetterFilter {
  readonly reasons?: readonly string[];
  readonly stage?: string;
  /** Topic that the original stood in. */
  readonly sourceTopic?: string;
  readonly tenant?: string;
  readonly device?: string;
  /** Set aside at or after, and before; epoch ms. */
  readonly since?: number;
  readonly until?: number;
  /** Of the dead-letter topic. */
  readonly partition?: number;
  /** In each partition: the first, and the last. */
  readonly firstOffset?: number;
  readonly lastOffset?: number;
}

export function matches(letter: Letter, filter: LetterFilter): boolean {
  const { reasons, stage, sourceTopic, tenant, device, since = -Infinity, until = Infinity } = filter;
  if (reasons !== undefined && !reasons.includes(letter.reason)) return false;
  if (stage !== undefined && letter.stage !== stage) return false;
  if (tenant !== undefined && letter.tenant !== tenant) return false;
  if (device !== undefined && letter.deviceId !== device) return false;
  if (sourceTopic !== undefined && sourceOf(letter)?.topic !== sourceTopic) return false;
  if (since === -Infinity && until === Infinity) return true;
  return letter.ts >= since && letter.ts < until;
}
