/**
 * The import table of the design (section 2) as ESLint configuration: what each folder may import of ours. A folder may always
 * import from itself. A relative import that leaves the folder must go to an allowed place, named from the repository's root.
 */

/** @type {Record<string, string[]>} */
export const mayImport = {
  topology: ["state/"],
  state: [],
  eventlog: [],
  runtime: ["topology/", "state/", "eventlog/"],
  processors: ["topology/", "state/"],
  bridge: ["eventlog/", "processors/formats/"],
  api: ["runtime/queries.ts", "processors/formats/"],
};

/** Reports relative imports that resolve outside what the file's folder may import. */
const importTable = {
  meta: {
    type: "problem",
    docs: { description: "the import table of the design" },
    schema: [],
    messages: {
      forbidden: "{{from}}/ must not import {{to}} (design, section 2): it may import {{allowed}}",
    },
  },
  create(context) {
    const path = repositoryPath(context.cwd, context.filename);
    const from = path.split("/")[0];
    const allowed = mayImport[from];
    if (allowed === undefined) return {};
    const check = (node) => {
      if (node.source?.type !== "Literal" || typeof node.source.value !== "string") return;
      const to = importedPath(path, node.source.value);
      if (
        to === undefined ||
        to.startsWith(`${from}/`) ||
        allowed.some((place) => to === place || (place.endsWith("/") && to.startsWith(place)))
      )
        return;
      context.report({ node: node.source, messageId: "forbidden", data: { from, to, allowed: allowed.join(", ") || "nothing of ours" } });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    };
  },
};

function repositoryPath(root, file) {
  return file.slice(root.length + 1).replaceAll("\\", "/");
}

/** Where a relative specifier leads, from the repository's root; undefined for packages. */
function importedPath(fromFile, specifier) {
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, `file:///${fromFile}`).pathname.slice(1);
}

export const importRules = [
  {
    files: Object.keys(mayImport).map((folder) => `${folder}/**/*.{ts,js,mjs}`),
    plugins: { sluice: { rules: { "import-table": importTable } } },
    rules: { "sluice/import-table": "error" },
  },
];
