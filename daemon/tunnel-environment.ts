/** What programs are given so that they reach the VPC: the hook in Node, and ports of this machine for all else. Pure. */
import type { Server } from "./linked-hosts.ts";
import type { RunEnvironment } from "./run-environment.ts";

type Variables = Readonly<Record<string, string>>;

/** Node reads quotes in it. */
export const nodeOptionsFor = (hook: string): string => `--require ${JSON.stringify(hook)}`;

/**
 * `servers`: those that the command is linked to, with the local port of each; of two of a kind the first counts. A
 * variable of its own stands, unless it names that very server.
 */
export function throughTunnel(
  given: RunEnvironment,
  hook: string | undefined,
  servers: readonly (Server & { readonly local: number })[],
): RunEnvironment {
  const variables: Record<string, string> = { ...given.variables };
  for (const kind of ["postgres", "mysql", "redis"] as const) {
    const server = servers.find(({ like }) => like === kind);
    if (server === undefined) continue;
    const { settings, addresses } = VARIABLES[kind](server);
    const [main = ""] = Object.keys(addresses);
    const own = variables[main];
    if (own !== undefined && !own.includes(server.host)) continue;
    for (const [name, value] of Object.entries(settings)) variables[name] ??= value;
    Object.assign(variables, addresses);
  }
  return { ...given, variables, ...(hook !== undefined && { nodeOptions: nodeOptionsFor(hook) }) };
}

/** `addresses` lead to the local port; the first says whether the command has its own. */
const VARIABLES: Readonly<
  Record<
    "postgres" | "mysql" | "redis",
    (server: Server & { readonly local: number }) => {
      readonly addresses: Variables;
      readonly settings: Variables;
    }
  >
> = {
  postgres: ({ local, username, password, database }) => ({
    addresses: { PGHOST: "127.0.0.1", PGPORT: String(local) },
    settings: present({ PGUSER: username, PGPASSWORD: password, PGDATABASE: database }),
  }),
  mysql: ({ local, password }) => ({
    addresses: { MYSQL_HOST: "127.0.0.1", MYSQL_TCP_PORT: String(local) },
    settings: present({ MYSQL_PWD: password }),
  }),
  redis: ({ local, username, password, tls }) => {
    const who =
      password === undefined
        ? ""
        : `${encodeURIComponent(username ?? "default")}:${encodeURIComponent(password)}@`;
    return {
      addresses: { REDIS_URL: `${tls ? "rediss" : "redis"}://${who}127.0.0.1:${local}` },
      settings: {},
    };
  },
};

function present(values: Readonly<Record<string, string | undefined>>): Variables {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
