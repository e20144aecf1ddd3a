/** Databases in a VPC. With `dev`, code under `livedev dev` gets a local one instead, and nothing is deployed. */
import type { StorageSize, VpcPlacement } from "./args.ts";
import { Component } from "./component.ts";
import { Output, type Input } from "./output.ts";
import type { Vpc } from "./vpc.ts";

type Local = {
  /** @default "localhost" */
  host?: Input<string>;
  /** Run by `livedev dev` as a process beside the others: `"docker run --rm -p 5432:5432 … postgres:16"`. */
  command?: Input<string>;
  /** Where the command runs, relative to the config. @default "." */
  directory?: Input<string>;
  /** `false`: the command is started by hand. @default true */
  autostart?: Input<boolean>;
  /** In lists of processes. @default the component's name */
  title?: Input<string>;
};

export type PostgresDev = Local & {
  /** @default 5432 */
  port?: Input<number>;
  /** @default the component's `username` */
  username?: Input<string>;
  /** @default the component's `password`, else none */
  password?: Input<string>;
  /** @default the component's `database` */
  database?: Input<string>;
};

export type RedisDev = Local & {
  /** @default 6379 */
  port?: Input<number>;
  /** @default "default" */
  username?: Input<string>;
  /** @default none */
  password?: Input<string>;
};

export type PostgresArgs = {
  /** @default "16.4" */
  version?: Input<string>;
  /** RDS's class without `db.`: `"m7g.xlarge"`. @default "t4g.micro" */
  instance?: Input<string>;
  /** "20 GB" to "64 TB". @default "20 GB" */
  storage?: Input<StorageSize>;
  /** Of the master user. @default "postgres" */
  username?: Input<string>;
  /** Of the master user; better a Secret's value than text. @default a random one */
  password?: Input<string>;
  /** Letters, digits and `_`. @default the app's name with `_` for `-` */
  database?: Input<string>;
  /** RDS Proxy in front of it. @default false */
  proxy?: Input<boolean>;
  /** A standby in another zone. @default false */
  multiAz?: Input<boolean>;
  /** Where it stands. Needed wherever it is deployed. */
  vpc?: Vpc | Input<VpcPlacement>;
  /** A local database instead, under `livedev dev`. */
  dev?: PostgresDev;
  replicas?: Input<number>;
  transform?: unknown;
};

/**
 * PostgreSQL on RDS. Linked code reads `host`, `port`, `username`, `password` and `database` from `Resource.<name>`.
 *
 * @example
 * const database = new aws.Postgres("MyDatabase", {
 *   vpc,
 *   dev: { port: 5432, username: "postgres", password: "postgres", database: "local" },
 * });
 */
export class Postgres extends Component {
  /** Of the instance in RDS. Known once the app stands, as are all of them. */
  readonly id: Output<string>;
  readonly host: Output<string>;
  readonly port: Output<number>;
  readonly username: Output<string>;
  readonly password: Output<string>;
  readonly database: Output<string>;

  constructor(name: string, args: PostgresArgs, options?: unknown) {
    super("aws.Postgres", name, args, options);
    this.id = Output.later(`${name}.id`);
    this.host = Output.later(`${name}.host`);
    this.port = Output.later<number>(`${name}.port`);
    this.username = Output.later(`${name}.username`);
    this.password = Output.later(`${name}.password`);
    this.database = Output.later(`${name}.database`);
  }
}

export type RedisArgs = {
  /** @default "redis" */
  engine?: Input<"redis" | "valkey">;
  /** @default "7.1", of Valkey "7.2" */
  version?: Input<string>;
  /** ElastiCache's type without `cache.`: `"m7g.xlarge"`. @default "t4g.micro" */
  instance?: Input<string>;
  /** Cluster mode, and how many nodes share the keys. `false`: one node without cluster mode. @default { nodes: 1 } */
  cluster?: Input<boolean | { nodes: Input<number> }>;
  /** @deprecated SST's older word for `cluster.nodes`. */
  nodes?: Input<number>;
  /** Where it stands. Needed wherever it is deployed. */
  vpc?: Vpc | Input<VpcPlacement>;
  /** A local server instead, under `livedev dev`. */
  dev?: RedisDev;
  parameters?: Input<Record<string, Input<string>>>;
  transform?: unknown;
};

/**
 * Redis or Valkey on ElastiCache. Linked code reads `host`, `port`, `username` and `password` from `Resource.<name>`.
 *
 * @example
 * const redis = new aws.Redis("MyRedis", { vpc, dev: { host: "localhost", port: 6379 } });
 */
export class Redis extends Component {
  /** Of the cluster in ElastiCache. Known once the app stands, as are all of them. */
  readonly id: Output<string>;
  /** SST's word for `id`. */
  readonly clusterId: Output<string>;
  readonly host: Output<string>;
  readonly port: Output<number>;
  readonly username: Output<string>;
  readonly password: Output<string>;

  constructor(name: string, args: RedisArgs, options?: unknown) {
    super("aws.Redis", name, args, options);
    this.id = Output.later(`${name}.id`);
    this.clusterId = this.id;
    this.host = Output.later(`${name}.host`);
    this.port = Output.later<number>(`${name}.port`);
    this.username = Output.later(`${name}.username`);
    this.password = Output.later(`${name}.password`);
  }
}
