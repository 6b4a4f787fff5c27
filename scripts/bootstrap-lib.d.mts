export const NODE_FLAGS: readonly string[];
export const MALLOC_ENV: Readonly<Record<string, string>>;
export const COMPILE_CACHE_ENV: Readonly<Record<string, string>>;
interface LockFile {
  readonly packages?: Readonly<Record<string, { readonly version?: string; readonly optional?: boolean }>>;
}

export const NODE_MAJOR: number;
export function isInstalled(wanted: LockFile | undefined, installed: LockFile | undefined): boolean;
export function readJson(file: string): LockFile | undefined;
export function pathWithout(path: string, root: string): string;
export function resolveTarget(root: string, target: string): string;
export function isNewEnough(version: string): boolean;
