import type { Linter } from "eslint";

export const mayImport: Readonly<Record<string, readonly string[]>>;
export const importRules: Linter.Config[];
