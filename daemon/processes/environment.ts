/**
 * The environment of a supervised process: as in the developer's own shell, with the folders `node_modules/.bin` from
 * its directory up on the path, then its links and variables.
 */
import { delimiter, dirname, join } from "node:path";

/** Ours; what npm tells the script that it runs; and who had no terminal gave no thought to colours in one. */
const NOT_PASSED_ON =
  /^(?:_?LIVEDEV_|npm_(?!config_)|INIT_CWD$|NO_COLOR$|FORCE_COLOR$|TERM$|COLORTERM$|COLUMNS$|LINES$)/;

export function processEnvironment(options: {
  readonly machine: Readonly<Record<string, string | undefined>>;
  readonly project: string;
  readonly directory: string;
  /** Links and the config's variables. */
  readonly own: Readonly<Record<string, string>>;
  /** What must not come from the machine; a `*` at the end stands for any rest. */
  readonly unset: readonly string[];
}): Record<string, string> {
  const { machine, project, directory, own, unset } = options;
  const names = new Set(unset.filter((name) => !name.endsWith("*")));
  const beginnings = unset.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  const passed = Object.entries(machine).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      !NOT_PASSED_ON.test(entry[0]) &&
      !names.has(entry[0]) &&
      !beginnings.some((beginning) => entry[0].startsWith(beginning)),
  );
  const environment = { ...Object.fromEntries(passed), ...own };
  return {
    ...environment,
    PATH: [...binFolders(project, directory), environment["PATH"] ?? "/usr/bin:/bin"].join(delimiter),
    TERM: "xterm-256color",
    COLORTERM: "truecolor",
  };
}

/** The nearest first, up to the project's own; npm's rule goes on up, where a monorepo's packages lie. */
function binFolders(project: string, directory: string): string[] {
  const folders: string[] = [];
  for (let folder = join(project, directory); ; folder = dirname(folder)) {
    folders.push(join(folder, "node_modules", ".bin"));
    if (dirname(folder) === folder) return folders;
  }
}
