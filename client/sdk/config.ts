import { appIn, evaluation, inConfig } from "./context.ts";

export type App = {
  /** Letters, digits and dashes; part of every name in AWS. */
  name: string;
  /** `local`: the local cloud, without any account. */
  home: "local" | "aws";
  /** Folders whose changes matter, relative to the config. @default the whole project */
  watch?: string[];
  /** @default AWS_REGION, else "us-east-1" */
  region?: string;
  /** A profile of ~/.aws/config. */
  profile?: string;
  /** Points every AWS client elsewhere. */
  endpoint?: string;
  /**
   * What becomes of a component that leaves the config, and of a removed stage's: `retain` keeps buckets and databases,
   * `retain-all` keeps everything. @default "retain"
   */
  removal?: "remove" | "retain" | "retain-all";
  /** Whether removing the stage, and putting stubs in place of what it holds, is refused. @default false */
  protect?: boolean;
  /**
   * A host with sshd in the VPC: stubs reach this machine by it, and local code reaches the VPC. What is not said here,
   * `~/.ssh/config` may say.
   */
  bastion?: {
    /** A name, an address, or a `Host` of `~/.ssh/config`. */
    host: string;
    /** @default 22 */
    port?: number;
    user?: string;
    /** A private key's file. */
    key?: string;
    /** `true`: the agent of SSH_AUTH_SOCK; or an agent's socket. @default true, unless `key` is given */
    agent?: boolean | string;
    /** The VPC's, `["10.0.0.0/16"]`: connections there go through the tunnel, and no others do. */
    ranges?: string[];
    /** `["*.internal"]`: names that are asked of the bastion first. Others are, when they are not found here. */
    names?: string[];
    listen?: {
      /** Of the bastion, as stubs reach it. @default the one that we come in at */
      address?: string;
      /** Of the bastion, one for each developer; one port, or the first and the last. @default [7400, 7499] */
      ports?: number | [number, number];
    };
  };
  /**
   * Instead of a bastion, an address of your own that leads stubs to this machine: a forwarder's or a tunnel service's.
   * `tls://host:port` where bytes are passed on as they are, `wss://…` where TLS is ended on the way.
   */
  url?: {
    address: string;
    /** Of 127.0.0.1, where it leads to. */
    port: number;
  };
  /** `{ aws: { region, profile } }`. */
  providers?: Record<string, unknown>;
  version?: string;
};

export type AppInput = { readonly stage: string };

export type Config = {
  app(input: AppInput): App | Promise<App>;
  /** Defines the components. What it returns is shown once the app stands. */
  run(): Promise<Record<string, unknown> | void> | Record<string, unknown> | void;
  console?: unknown;
};

/** The default export of livedev.config.ts. */
export function $config(config: Config): Config {
  return config;
}

/** The app and the stage that `run()` is for. */
export const $app = {
  get name(): string {
    return appIn("$app.name").name;
  },
  get stage(): string {
    return inConfig("$app.stage").stage;
  },
  get removal(): unknown {
    return appIn("$app.removal")["removal"];
  },
  get protect(): unknown {
    return appIn("$app.protect")["protect"];
  },
  get providers(): unknown {
    return appIn("$app.providers")["providers"];
  },
};

/** Whether the config is evaluated for `livedev dev` rather than for a deployment. */
export const $dev: boolean = evaluation()?.dev ?? false;
