/** What not every machine has (scripts/parts.sh), and why a test that needs it is skipped where it is missing. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

import { ROOT } from "./rig.ts";

const missing = (path: string, what: string): string | false =>
  existsSync(path) || process.env["LIVEDEV_NO_SKIP"] === "1"
    ? false
    : `without ${what}: run \`source scripts/parts.sh\` (looked for ${path})`;

/** The package `sst`, unpacked. */
export const SST = process.env["LIVEDEV_SST"] ?? join(ROOT, ".parts", "sst", "node_modules", "sst");
export const sstMissing = missing(SST, "SST's SDK");

/** A Python with boto3. */
export const PYTHON = join(process.env["LIVEDEV_MOTO"] ?? join(ROOT, ".parts", "moto"), "bin", "python");
export const pythonMissing = missing(PYTHON, "boto3");

/** The debug adapter that VS Code debugs JavaScript with. */
export const JS_DEBUG =
  process.env["LIVEDEV_JS_DEBUG"] ?? join(ROOT, ".parts", "js-debug", "vsDebugServer.cjs");
export const jsDebugMissing = missing(JS_DEBUG, "js-debug's debug adapter");

/** Programs of the system. On Debian those of PostgreSQL on the PATH are wrappers, where they are there at all. */
function program(name: string, folders: readonly string[] = []): string {
  const all = [...folders, ...(process.env["PATH"] ?? "").split(":")];
  return all.map((folder) => join(folder, name)).find((file) => existsSync(file)) ?? join("/usr/bin", name);
}

const POSTGRES = "/usr/lib/postgresql";
const versions = existsSync(POSTGRES) ? readdirSync(POSTGRES).map((one) => join(POSTGRES, one, "bin")) : [];

export const INITDB = program("initdb", versions);
export const POSTGRES_SERVER = program("postgres", versions);
export const PSQL = program("psql", versions);
export const postgresMissing = missing(INITDB, "PostgreSQL");
export const MARIADB_SERVER = program("mariadbd", ["/usr/sbin"]);
export const MARIADB_INSTALL = program("mariadb-install-db");
export const mariadbMissing = missing(MARIADB_SERVER, "MariaDB");
export const PROXYCHAINS = program("proxychains4");
export const proxychainsMissing = missing(PROXYCHAINS, "proxychains");
/** Packages pg, mysql2, ioredis, undici. */
export const CLIENTS = process.env["LIVEDEV_CLIENTS"] ?? join(ROOT, ".parts", "clients", "node_modules");
export const clientsMissing = missing(join(CLIENTS, "pg"), "the databases' clients");
export const REDIS_SERVER = program("redis-server");
export const redisMissing = missing(REDIS_SERVER, "Redis");
export const CHROMIUM = program("chromium");
export const chromiumMissing = missing(CHROMIUM, "Chromium");
export const TMUX = program("tmux");
export const tmuxMissing = missing(TMUX, "tmux");

/** The packages of examples/databases. */
export const DATABASES = join(
  process.env["LIVEDEV_DATABASES"] ?? join(ROOT, ".parts", "databases"),
  "node_modules",
);
export const databasesMissing =
  postgresMissing || redisMissing || missing(join(DATABASES, "pg"), "the packages of examples/databases");

/** The packages of examples/web's frontends, as npm installs them. */
export const WEB = process.env["LIVEDEV_WEB"] ?? join(ROOT, ".parts", "web");
/** And Go, for its service. */
const GO = program("go", ["/usr/local/go/bin", "/usr/lib/go/bin"]);
export const goFolder = dirname(GO);
export const webMissing =
  missing(join(WEB, "docs", "node_modules", "astro"), "the frontends' packages") || missing(GO, "Go");
