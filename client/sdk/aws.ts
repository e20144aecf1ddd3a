/** Components that stand for things in AWS. Names and properties follow SST's. */
export {
  permission,
  type Duration,
  type Permission,
  type Size,
  type StorageSize,
  type VpcPlacement,
} from "./args.ts";
export {
  Bucket,
  type BucketArgs,
  type BucketCors,
  type BucketLifecycle,
  type BucketPolicy,
} from "./bucket.ts";
export {
  Postgres,
  Redis,
  type PostgresArgs,
  type PostgresDev,
  type RedisArgs,
  type RedisDev,
} from "./databases.ts";
export {
  Function,
  type FunctionArgs,
  type FunctionCopy,
  type FunctionLogging,
  type FunctionNodejs,
  type FunctionUrl,
  type Retention,
  type Runtime,
  type UrlCors,
} from "./function.ts";
export {
  Astro,
  Cluster,
  Nextjs,
  Nuxt,
  Remix,
  Service,
  StaticSite,
  SvelteKit,
  type AstroArgs,
  type DeployArgs,
  type DevArgs,
  type NextjsArgs,
  type NuxtArgs,
  type RemixArgs,
  type ServiceArgs,
  type StaticSiteArgs,
  type SvelteKitArgs,
} from "./processes.ts";
export { Stack, type StackArgs, type Template } from "./stack.ts";
export { Vpc, type VpcArgs, type VpcNat } from "./vpc.ts";
