/**
 * What SST's documentation shows of the components that livedev has, page by page, after its API: each is the body of
 * a `run()`. Names are `My…`; `page()` makes them unique, so that one config holds a whole page.
 */
import { readFileSync } from "node:fs";

export const PAGES: Readonly<Record<string, readonly string[]>> = {
  // The page's config, whole, as of SST 3.3.
  Live: [`new sst.aws.Vpc("MyVpc", { bastion: true });`],
  // And what belongs to it elsewhere.
  "functions that run live": [
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler" });`,
    `new sst.aws.Function("MyFunction", { dev: false, handler: "src/lambda.handler" });`,
    `const vpc = new sst.aws.Vpc("MyVpc", { bastion: true });
     new sst.aws.Function("MyFunction", { vpc, handler: "src/lambda.handler" });`,
    `const vpc = new sst.aws.Vpc("MyVpc", { nat: "ec2", bastion: true });
     const database = new sst.aws.Postgres("MyDatabase", {
       vpc,
       dev: { host: "localhost", port: 5432, username: "postgres", password: "password", database: "local" },
     });
     new sst.aws.Function("MyFunction", { vpc, url: true, link: [database], handler: "index.handler" });`,
  ],
  Function: [
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", timeout: "3 minutes", memory: "1024 MB" });`,
    `const bucket = new sst.aws.Bucket("MyBucket");
     new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", link: [bucket] });`,
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", environment: { DEBUG: "true" } });`,
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", url: true });`,
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", url: { authorization: "iam", cors: false } });`,
    `new sst.aws.Function("MyFunction", {
       handler: "src/lambda.handler",
       url: {
         cors: {
           allowCredentials: true,
           allowHeaders: ["date", "keep-alive", "x-custom-header"],
           allowMethods: ["GET", "POST", "DELETE"],
           allowOrigins: ["https://www.example.com", "http://localhost:60905"],
           exposeHeaders: ["date", "keep-alive"],
           maxAge: "1 day",
         },
       },
     });`,
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", streaming: true, url: true });`,
    `new sst.aws.Function("MyFunction", {
       handler: "src/lambda.handler",
       nodejs: { install: ["pg"], format: "esm", minify: false, sourcemap: true, loader: { ".png": "file" } },
     });`,
    `new sst.aws.Function("MyFunction", {
       handler: "src/lambda.handler",
       nodejs: { esbuild: { external: ["sharp"] }, banner: "console.log('hi')", splitting: true },
     });`,
    `new sst.aws.Function("MyFunction", {
       handler: "src/lambda.handler",
       permissions: [
         { actions: ["s3:GetObject", "s3:PutObject"], resources: ["arn:aws:s3:::my-bucket/*"] },
         { effect: "deny", actions: ["s3:*"], resources: ["arn:aws:s3:::my-bucket/*"] },
       ],
     });`,
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", permissions: [{ actions: ["*"], resources: ["*"] }] });`,
    `new sst.aws.Function("MyFunction", {
       handler: "src/lambda.handler",
       copyFiles: [{ from: "src/index.js" }, { from: "src/assets", to: "public" }],
     });`,
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", logging: false });`,
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", logging: { retention: "forever", format: "json" } });`,
    `new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", logging: { logGroup: "/existing/log-group" } });`,
    `new sst.aws.Function("MyFunction", {
       handler: "src/lambda.handler",
       architecture: "arm64",
       runtime: "nodejs22.x",
       description: "handles what comes",
       name: "my-function",
       tags: { "my-tag": "my-value" },
       layers: ["arn:aws:lambda:us-east-1:123456789012:layer:my-layer:1"],
     });`,
    `const vpc = new sst.aws.Vpc("MyVpc");
     new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", vpc });`,
    `new sst.aws.Function("MyFunction", {
       handler: "src/lambda.handler",
       vpc: { privateSubnets: ["subnet-0be8fa4de860618bb"], securityGroups: ["sg-0be8fa4de860618bb"] },
     });`,
    `const fn = new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", url: true });
     new sst.aws.Function("MyOther", {
       handler: "src/lambda.handler",
       environment: { URL: fn.url, ARN: fn.arn, NAME: fn.name, HEALTH: $interpolate\`\${fn.url}/health\` },
     });`,
  ],
  Bucket: [
    `new sst.aws.Bucket("MyBucket");`,
    `new sst.aws.Bucket("MyBucket", { access: "public" });`,
    `new sst.aws.Bucket("MyBucket", { access: "cloudfront" });`,
    `const bucket = new sst.aws.Bucket("MyBucket");
     new sst.aws.Nextjs("MyWeb", { link: [bucket] });`,
    `new sst.aws.Bucket("MyBucket", { cors: false });`,
    `new sst.aws.Bucket("MyBucket", {
       cors: { allowHeaders: ["*"], allowOrigins: ["*"], allowMethods: ["DELETE", "GET", "HEAD", "POST", "PUT"], exposeHeaders: [], maxAge: "0 seconds" },
     });`,
    `new sst.aws.Bucket("MyBucket", { versioning: true, enforceHttps: false });`,
    `new sst.aws.Bucket("MyBucket", {
       lifecycle: [
         { expiresIn: "60 days" },
         { id: "expire-tmp-files", prefix: "tmp/", expiresIn: "30 days" },
         { prefix: "data/", expiresAt: "2028-12-31", enabled: false },
       ],
     });`,
    `new sst.aws.Bucket("MyBucket", {
       policy: [
         { actions: ["s3:GetObject"], principals: "*" },
         {
           effect: "deny",
           actions: ["s3:*"],
           principals: [{ type: "aws", identifiers: ["arn:aws:iam::123456789012:user/specific-user"] }],
           conditions: [{ test: "StringEquals", variable: "aws:SourceIp", values: ["10.0.0.0/16"] }],
           paths: ["images/*"],
         },
       ],
     });`,
    `const bucket = $app.stage === "frank" ? sst.aws.Bucket.get("MyBucket", "app-dev-mybucket-12345678") : new sst.aws.Bucket("MyBucket");
     new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", link: [bucket] });`,
    `const bucket = new sst.aws.Bucket("MyBucket");
     new sst.aws.Function("MyFunction", {
       handler: "src/lambda.handler",
       permissions: [{ actions: ["s3:GetObject"], resources: [bucket.arn.apply((arn) => \`\${arn}/*\`)] }],
     });`,
  ],
  Vpc: [
    `new sst.aws.Vpc("MyVpc");`,
    `new sst.aws.Vpc("MyVpc", { az: 3 });`,
    `new sst.aws.Vpc("MyVpc", { nat: "managed" });`,
    `new sst.aws.Vpc("MyVpc", { nat: "ec2" });`,
    `new sst.aws.Vpc("MyVpc", { nat: { type: "ec2", ec2: { instance: "c7g.xlarge", ami: "ami-1234567890abcdef0" } } });`,
    `new sst.aws.Vpc("MyVpc", { nat: { ip: ["eipalloc-0123456789abcdef0", "eipalloc-0123456789abcdef1"] } });`,
    `new sst.aws.Vpc("MyVpc", { bastion: true });`,
    `sst.aws.Vpc.get("MyVpc", "vpc-0be8fa4de860618bb");`,
  ],
  Postgres: [
    `const vpc = new sst.aws.Vpc("MyVpc");
     const database = new sst.aws.Postgres("MyDatabase", { vpc });
     new sst.aws.Nextjs("MyWeb", { link: [database], vpc });`,
    `const vpc = new sst.aws.Vpc("MyVpc");
     new sst.aws.Postgres("MyDatabase", {
       vpc, version: "15.8", instance: "m7g.xlarge", storage: "100 GB", proxy: true, multiAz: true,
       username: "admin", password: "Passw0rd!", database: "acme",
     });`,
    `new sst.aws.Postgres("MyDatabase", { vpc: { subnets: ["subnet-0db7376a7ad4db5fd", "subnet-06fc7ee8319b2c0ce"] } });`,
    `const password = new sst.Secret("MyDBPassword", "local");
     const vpc = new sst.aws.Vpc("MyVpc");
     new sst.aws.Postgres("MyDatabase", { vpc, password: password.value });`,
    `const vpc = new sst.aws.Vpc("MyVpc", { bastion: true });
     const rds = new sst.aws.Postgres("MyDatabase", { vpc, dev: { username: "postgres", password: "password", database: "postgres", host: "localhost", port: 5432 } });
     new sst.x.DevCommand("MyStudio", { link: [rds], dev: { command: "npx drizzle-kit studio" } });`,
    `const vpc = new sst.aws.Vpc("MyVpc");
     const rds = new sst.aws.Postgres("MyDatabase", { vpc });
     new sst.aws.Function("MyFunction", {
       vpc,
       handler: "src/lambda.handler",
       environment: { DATABASE_URL: $interpolate\`postgresql://\${rds.username}:\${rds.password}@\${rds.host}:\${rds.port}/\${rds.database}\` },
     });`,
  ],
  Redis: [
    `const vpc = new sst.aws.Vpc("MyVpc");
     const redis = new sst.aws.Redis("MyRedis", { vpc });
     new sst.aws.Nextjs("MyWeb", { link: [redis], vpc });`,
    `const vpc = new sst.aws.Vpc("MyVpc");
     new sst.aws.Redis("MyRedis", { vpc, engine: "valkey", version: "7.2", instance: "m7g.xlarge", cluster: { nodes: 4 } });`,
    `const vpc = new sst.aws.Vpc("MyVpc");
     new sst.aws.Redis("MyRedis", { vpc, cluster: false });`,
    `new sst.aws.Redis("MyRedis", {
       vpc: { subnets: ["subnet-0db7376a7ad4db5fd"], securityGroups: ["sg-0399348378a4c256c"] },
     });`,
    `const vpc = new sst.aws.Vpc("MyVpc", { nat: "managed" });
     new sst.aws.Redis("MyRedis", { vpc, dev: { host: "localhost", port: 6379 } });`,
  ],
  Frontends: [
    `new sst.aws.Nextjs("MyWeb");`,
    `new sst.aws.Nextjs("MyWeb", { path: "my-next-app/", domain: "my-app.com" });`,
    `new sst.aws.Nextjs("MyWeb", {
       path: "packages/web",
       environment: { API_URL: "https://api.example.com" },
       dev: { command: "yarn dev", directory: "packages/web", url: "http://localhost:3000", autostart: false, title: "Web" },
     });`,
    `new sst.aws.Nextjs("MyWeb", { buildCommand: "npx @opennextjs/aws@latest build", openNextVersion: "3.4.1", warm: 5 });`,
    `new sst.aws.Nextjs("MyWeb", { dev: false });`,
    `new sst.aws.Nextjs("MyWeb", { permissions: [{ actions: ["s3:GetObject"], resources: ["arn:aws:s3:::my-bucket/*"] }] });`,
    `new sst.aws.Remix("MyWeb", { domain: { name: "my-app.com", redirects: ["www.my-app.com"] } });`,
    `new sst.aws.Astro("MyWeb", { path: "my-astro-app/", invalidation: { paths: "all", wait: true } });`,
    `new sst.aws.Nuxt("MyWeb", { server: { runtime: "nodejs22.x", memory: "2 GB" } });`,
    `const bucket = new sst.aws.Bucket("MyBucket");
     new sst.aws.SvelteKit("MyWeb", { link: [bucket], path: "my-svelte-app/" });`,
  ],
  StaticSite: [
    `new sst.aws.StaticSite("MyWeb");`,
    `new sst.aws.StaticSite("MyWeb", { path: "path/to/site" });`,
    `new sst.aws.StaticSite("MyWeb", { build: { command: "npm run build", output: "dist" } });`,
    `new sst.aws.StaticSite("MyWeb", { errorPage: "404.html", build: { command: "bundle exec jekyll build", output: "_site" } });`,
    `new sst.aws.StaticSite("MyWeb", { domain: "my-app.com", vite: { types: "./src/sst-env.d.ts" } });`,
    `const bucket = new sst.aws.Bucket("MyBucket");
     new sst.aws.StaticSite("MyWeb", {
       environment: { BUCKET_NAME: bucket.name, VITE_STRIPE_PUBLISHABLE_KEY: "pk_test_123" },
       build: { command: "npm run build", output: "dist" },
     });`,
    `new sst.aws.StaticSite("MyWeb", {
       assets: { fileOptions: [{ files: ["**/*.css", "**/*.js"], cacheControl: "max-age=31536000,public,immutable" }] },
       invalidation: false,
     });`,
  ],
  Service: [
    `const vpc = new sst.aws.Vpc("MyVpc");
     const cluster = new sst.aws.Cluster("MyCluster", { vpc });
     new sst.aws.Service("MyService", { cluster });`,
    `const vpc = new sst.aws.Vpc("MyVpc");
     const cluster = new sst.aws.Cluster("MyCluster", { vpc });
     const bucket = new sst.aws.Bucket("MyBucket");
     new sst.aws.Service("MyService", {
       cluster,
       link: [bucket],
       loadBalancer: { rules: [{ listen: "80/http" }] },
       dev: { command: "node --watch index.mjs", directory: "packages/service", autostart: true },
     });`,
    `const vpc = new sst.aws.Vpc("MyVpc");
     const cluster = new sst.aws.Cluster("MyCluster", { vpc });
     new sst.aws.Service("MyService", { cluster, cpu: "1 vCPU", memory: "2 GB", scaling: { min: 4, max: 16 }, dev: { command: "node a.js" } });`,
  ],
  DevCommand: [
    `new sst.x.DevCommand("MyCommand", { dev: { command: "npm run studio" } });`,
    `new sst.x.DevCommand("MyCommand", {
       dev: { autostart: false, command: "docker compose up", directory: "packages/db", title: "Docker Compose" },
       environment: { DATABASE_URL: process.env["DATABASE_URL"] ?? "none" },
     });`,
    `const fn = new sst.aws.Function("MyFunction", { handler: "src/lambda.handler" });
     new sst.x.DevCommand("MyCommand", {
       dev: { autostart: false, command: $interpolate\`aws lambda invoke --function-name \${fn.arn} /dev/stdout\` },
     });`,
  ],
  Secret: [
    `const secret = new sst.Secret("MySecret");
     new sst.aws.Nextjs("MyWeb", { link: [secret] });`,
    `const secret = new sst.Secret("MySecret", "my-secret-placeholder-value");
     new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", environment: { KEY: secret.value } });`,
    `const secrets = { one: new sst.Secret("MyOne"), two: new sst.Secret("MyTwo", process.env["TWO"] ?? "2") };
     new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", link: Object.values(secrets) });`,
  ],
  Linkable: [
    `const linkable = new sst.Linkable("MyLinkable", { properties: { foo: "bar" } });
     new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", link: [linkable] });`,
    `const bucket = new sst.aws.Bucket("MyBucket");
     const linkable = new sst.Linkable("MyStorage", {
       properties: { bucketName: bucket.name, nested: { arn: bucket.arn } },
       include: [sst.aws.permission({ actions: ["s3:GetObject"], resources: [bucket.arn, $interpolate\`\${bucket.arn}/*\`] })],
     });
     new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", link: [linkable] });`,
  ],
  Globals: [
    `const bucket = new sst.aws.Bucket("MyBucket");
     const fn = new sst.aws.Function("MyFunction", { handler: "src/lambda.handler", url: true });
     new sst.aws.Function("MyOther", {
       handler: "src/lambda.handler",
       environment: {
         STAGE: $app.stage,
         NAME: $app.name,
         MODE: $dev ? "dev" : "live",
         BOTH: $concat(bucket.name, "/", fn.url),
         PAIR: $resolve([bucket.name, fn.url]).apply(([name, url]) => \`Bucket: \${name}, URL: \${url}\`),
         JSON: $jsonStringify({ bucket: bucket.name, urls: [fn.url] }),
       },
     });`,
  ],
};

/** One page's snippets as one config's body, each in a block and with names of its own. */
export function page(name: string): string {
  const blocks = (PAGES[name] ?? []).map(
    (snippet, index) => `{\n${snippet.replaceAll(/"My(\w+)"/g, `"My$1_${index}"`)}\n}`,
  );
  return blocks
    .join("\n")
    .replaceAll("sst.aws.", "aws.")
    .replaceAll("sst.x.", "x.")
    .replaceAll(/sst\.(Secret|Linkable)/g, "$1");
}

/** The examples of docs/components.md. */
export function documented(): string[] {
  const text = readFileSync(new URL("../../docs/components.md", import.meta.url), "utf8");
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, snippet = ""]) => snippet);
}

/** A whole config, of a page or of several. */
export const configOf = (
  body: string,
) => `import { $app, $concat, $config, $dev, $interpolate, $jsonStringify, $resolve, aws, DevCommand, Linkable, Secret, x } from "livedev";
export default $config({
  app: (input) => ({ name: "shop", home: "aws", removal: input.stage === "production" ? "retain" : "remove", protect: input.stage === "production" }),
  async run() {
${body}
  },
});
export const used = [$app, $concat, $dev, $interpolate, $jsonStringify, $resolve, aws, DevCommand, Linkable, Secret, x];
`;
