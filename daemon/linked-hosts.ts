/** What the app's links lead to by host and port, behind the tunnel or not. Pure. */
import type { WantedApp } from "../proto/app.ts";

import { resolved, type Lookup } from "./links.ts";
import type { LinkedHost } from "./tunnel/tunnel.ts";

/** `like`: which kind of server it is, by its component or, of a Linkable, by its port. */
export type Server = LinkedHost & {
  readonly like: "postgres" | "mysql" | "redis" | undefined;
  readonly username?: string;
  readonly password?: string;
  readonly database?: string;
  /** It speaks TLS alone. */
  readonly tls: boolean;
};

const LIKE: Readonly<Record<number, Server["like"]>> = { 5432: "postgres", 3306: "mysql", 6379: "redis" };

/** In the order of the config. What is not known yet is not among them, nor what is local in dev. */
export function servers(app: WantedApp, lookup: Lookup): Server[] {
  const databases = new Map(app.databases.map((one) => [one.name, one]));
  return resolved(app.linkable ?? [], lookup).flatMap(({ name, properties }): Server[] => {
    const { host, port } = properties;
    const number = Number(port);
    if (typeof host !== "string" || host === "" || !Number.isInteger(number) || number < 1) return [];
    const database = databases.get(name);
    if (database?.dev !== undefined) return [];
    const kind =
      database?.kind === "aws.Postgres" ? "postgres" : database?.kind === "aws.Redis" ? "redis" : undefined;
    const text = (key: string) => {
      const value = properties[key];
      return typeof value === "string" && value !== "" ? { [key]: value } : {};
    };
    return [
      {
        name,
        host,
        port: number,
        like: kind ?? LIKE[number],
        tls: kind === "redis",
        ...text("username"),
        ...text("password"),
        ...text("database"),
      },
    ];
  });
}

/** Each has a port of its own on this machine. */
export function linkedHosts(app: WantedApp, lookup: Lookup): LinkedHost[] {
  return servers(app, lookup).map(({ name, host, port }) => ({ name, host, port }));
}
