/**
 * What runs as a process of its own during `livedev dev`: frontends, services, free commands. A real deployment runs
 * `deploy.command`; a StaticSite without one goes to S3 and CloudFront; the others are then refused by it, by name.
 */
import type { Environment, Links, Permission } from "./args.ts";
import { Component } from "./component.ts";
import { Output, type Input } from "./output.ts";
import type { Vpc } from "./vpc.ts";

export type DevArgs = {
  /** For the shell, with the folders `node_modules/.bin` on the path. @default "npm run dev" */
  command?: Input<string>;
  /** Where it runs, relative to the config. @default the component's `path` */
  directory?: Input<string>;
  /** Where it answers: what links of the component give in dev. */
  url?: Input<string>;
  /** A regular expression that a line of its output matches once it is ready. @default its URL answers */
  ready?: Input<string>;
  /** `false`: it is started by hand. @default true */
  autostart?: Input<boolean>;
  /** In lists of processes. @default the component's name */
  title?: Input<string>;
};

export type DeployArgs = {
  /** Run by a real deployment, with the component's environment and links. */
  command: Input<string>;
  /** Where it runs, relative to the config. @default the component's `path` */
  directory?: Input<string>;
  /** Where the deployed component answers. @default the last URL that the command prints */
  url?: Input<string>;
};

type ProcessArgs = {
  /** What its command finds in its environment; a component's output is filled in. */
  environment?: Environment;
  /** Components whose values the code reads from `Resource`. Linked processes start first. */
  link?: Links;
  permissions?: Input<Permission[]>;
  /** How it is deployed. */
  deploy?: DeployArgs;
};

export type SiteArgs = ProcessArgs & {
  /** Its folder, relative to the config. @default "." */
  path?: Input<string>;
  /** `false`: it does not run in dev. */
  dev?: false | DevArgs;
  /** @deprecated Of SST's own deployment; here `deploy.command` builds. */
  buildCommand?: Input<string>;
  vpc?: Vpc | Input<object>;
  [deployment: string]: unknown;
};

export type NextjsArgs = SiteArgs;
export type RemixArgs = SiteArgs;
export type AstroArgs = SiteArgs;
export type NuxtArgs = SiteArgs;
export type SvelteKitArgs = SiteArgs;

export type StaticSiteArgs = ProcessArgs & {
  /** Its folder, relative to the config. @default "." */
  path?: Input<string>;
  /** `false`: it does not run in dev. */
  dev?: false | DevArgs;
  /** Without it, the files of `path` go to S3 as they are. */
  build?: Input<{
    /** Run in `path`, with `environment`: `"npm run build"`. */
    command: Input<string>;
    /** The folder that it fills, relative to `path`: `"dist"`. */
    output: Input<string>;
  }>;
  /** What a folder's address answers. @default "index.html" */
  indexPage?: Input<string>;
  /** What is answered where there is no such file. @default the index page, for apps that route in the browser */
  errorPage?: Input<string>;
  [deployment: string]: unknown;
};

export type ServiceArgs = ProcessArgs & {
  cluster?: Cluster;
  /** What runs during `livedev dev`; without a command, nothing. */
  dev?: false | DevArgs;
  [deployment: string]: unknown;
};

export type DevCommandArgs = ProcessArgs & {
  dev?: DevArgs;
  aws?: Input<{ role?: Input<string>; permissions?: Input<Permission[]> }>;
};

abstract class Process extends Component {
  /** Where it answers: in dev `dev.url`, or what is found once it runs. */
  readonly url: Output<string>;

  protected constructor(kind: string, name: string, args: unknown, options: unknown) {
    super(kind, name, args, options);
    this.url = Output.later(`${name}.url`);
  }
}

/**
 * A Next.js app.
 *
 * @example
 * new aws.Nextjs("MyWeb", { path: "packages/web", link: [bucket], dev: { url: "http://localhost:3000" } });
 */
export class Nextjs extends Process {
  constructor(name: string, args: NextjsArgs = {}, options?: unknown) {
    super("aws.Nextjs", name, args, options);
  }
}

/** A Remix app. */
export class Remix extends Process {
  constructor(name: string, args: RemixArgs = {}, options?: unknown) {
    super("aws.Remix", name, args, options);
  }
}

/** An Astro site. */
export class Astro extends Process {
  constructor(name: string, args: AstroArgs = {}, options?: unknown) {
    super("aws.Astro", name, args, options);
  }
}

/** A Nuxt app. */
export class Nuxt extends Process {
  constructor(name: string, args: NuxtArgs = {}, options?: unknown) {
    super("aws.Nuxt", name, args, options);
  }
}

/** A SvelteKit app. */
export class SvelteKit extends Process {
  constructor(name: string, args: SvelteKitArgs = {}, options?: unknown) {
    super("aws.SvelteKit", name, args, options);
  }
}

/**
 * Files behind CloudFront; in dev, the generator's own server.
 *
 * @example
 * new aws.StaticSite("MyWeb", {
 *   build: { command: "npm run build", output: "dist" },
 *   environment: { VITE_API_URL: api.url },
 * });
 */
export class StaticSite extends Process {
  constructor(name: string, args: StaticSiteArgs = {}, options?: unknown) {
    super("aws.StaticSite", name, args, options);
  }
}

/** Is here so that SST's configs load: a Service is deployed by its own `deploy.command`. */
export class Cluster extends Component {
  constructor(
    name: string,
    args: { vpc?: Vpc | Input<object>; [deployment: string]: unknown } = {},
    options?: unknown,
  ) {
    super("aws.Cluster", name, args, options);
  }
}

/**
 * A program that keeps running.
 *
 * @example
 * new aws.Service("Worker", { link: [bucket], dev: { command: "node --watch src/worker.ts" } });
 */
export class Service extends Process {
  constructor(name: string, args: ServiceArgs = {}, options?: unknown) {
    super("aws.Service", name, args, options);
  }
}

/**
 * Any command that should run beside the app in dev, with links and environment.
 *
 * @example
 * new DevCommand("Studio", { link: [database], dev: { command: "npx drizzle-kit studio", autostart: false } });
 */
export class DevCommand extends Process {
  constructor(name: string, args: DevCommandArgs = {}, options?: unknown) {
    super("DevCommand", name, args, options);
  }
}
