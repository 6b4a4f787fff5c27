/** What `sluice` ends with. Source: shared design, section 8. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;
