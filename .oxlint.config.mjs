/**
 * Lint, and the borders of the house (ARCHITECTURE.md): who may import whom, and which part alone imports a package.
 * A wrong import fails `npm run check`; test/lint/borders.test.ts plants a violation of each border.
 */

/** Packages that belong to one part, or to the few that are named. */
const PACKAGES = {
  fastify: ["daemon/rpc", "daemon/cloud"],
  "json-rpc-2.0": ["daemon/rpc", "client"],
  ws: ["daemon/bridge", "daemon/rpc", "daemon/debug", "stub", "client"],
  esbuild: ["daemon/functions", "daemon/config"],
  chokidar: ["daemon/watch"],
  "better-sqlite3": ["daemon/store"],
  "@lydell/node-pty": ["daemon/processes"],
  "@xterm/headless": ["daemon/processes", "client/tui"],
  "@xterm/addon-unicode11": ["daemon/processes", "client/tui"],
  "@xterm/addon-serialize": ["daemon/processes"],
  ssh2: ["daemon/tunnel"],
  "@aws-sdk/client-ec2": ["daemon/tunnel", "daemon/aws", "daemon/deploy"],
  "@aws-sdk/client-cloudfront": ["daemon/aws", "daemon/deploy"],
  "@aws-sdk/client-lambda": ["daemon/aws", "daemon/deploy", "daemon/credentials"],
  "@aws-sdk/client-iam": ["daemon/aws", "daemon/deploy"],
  "@aws-sdk/client-s3": ["daemon/aws", "daemon/deploy"],
  "@aws-sdk/client-ssm": ["daemon/aws", "daemon/credentials"],
  "@aws-sdk/credential-provider-node": ["daemon/aws"],
  "@aws-sdk/client-sts": ["daemon/aws", "daemon/deploy", "daemon/credentials"],
  "@aws-sdk/client-cloudformation": ["daemon/aws", "daemon/deploy"],
  "@aws-sdk/client-cloudwatch-logs": ["daemon/aws", "daemon/deploy"],
  "https-proxy-agent": ["daemon/aws"],
  "fast-xml-parser": ["daemon/cloud"],
  yauzl: ["daemon/cloud", "daemon/deploy"],
  yazl: ["daemon/deploy"],
  pino: ["daemon/lib"],
  zod: ["proto/rpc.ts", "daemon/config", "daemon/rpc"],
  commander: ["client/cli"],
};

/** The common ground that a feature may use beside lib/ and proto/. */
const COMMON_GROUND = {
  functions: ["runtime"],
  cloud: ["runtime"],
  deploy: ["aws"],
  credentials: ["aws"],
  processes: ["runtime"],
  tunnel: ["aws"],
};

const FEATURES = [
  "config",
  "store",
  "bridge",
  "invocations",
  "functions",
  "debug",
  "deploy",
  "credentials",
  "processes",
  "tunnel",
  "watch",
  "rpc",
  "cloud",
];

/** A folder's rule: imports that leave the folder must be among `may`; packages are those it owns. */
function border(folder, { may = [], files = [`${folder}/**`], packages = true, node = true, extra = [] }) {
  const denied = Object.entries(PACKAGES)
    .filter(
      ([, owners]) => !owners.some((owner) => `${folder}/`.startsWith(`${owner}/`) || files.includes(owner)),
    )
    .flatMap(([name]) => [name, `${name}/**`]);
  // Before the group: oxlint stops at a group whose negation matches.
  const patterns = [
    ...extra,
    {
      group: ["../*.ts", "../*/**", ...may.map((path) => `!${path}`)],
      message: `${folder}/ may not import this: see the borders in ARCHITECTURE.md.`,
    },
    { group: denied, message: `${folder}/ may not import this package: it belongs to another part.` },
  ];
  if (!node) patterns.push({ regex: "^node:", message: `${folder}/ may not import Node.` });
  if (!packages) patterns.push({ regex: "^[a-z@][^:]*$", message: `${folder}/ imports no package.` });
  return { files, rules: { "no-restricted-imports": ["error", { patterns }] } };
}

const PROTO = "../../proto/**";
const rpcTypesOnly = {
  regex: "proto/rpc[.]ts$",
  allowTypeImports: true,
  message: "Clients import the schemas' types only: the schema library does not belong in a client.",
};

export default {
  plugins: ["eslint", "typescript", "unicorn", "oxc", "import", "promise"],
  categories: { correctness: "error", suspicious: "error" },
  rules: {
    "import/no-cycle": "error",
    "typescript/no-floating-promises": "error",
    "typescript/no-misused-promises": "error",
    // Without the await, a `using` of the same function is closed before the promise settles.
    "typescript/return-await": ["error", "in-try-catch"],
    "typescript/switch-exhaustiveness-check": "error",
    "no-await-in-loop": "off",
    "no-shadow": "off",
    "no-underscore-dangle": "off",
    "unicorn/consistent-function-scoping": "off",
    "typescript/no-unsafe-type-assertion": "off",
    "import/no-unassigned-import": "off",
    // A copy is iterated where the original changes meanwhile.
    "unicorn/no-useless-spread": "off",
    "unicorn/no-array-sort": "off",
    "unicorn/no-array-reverse": "off",
    "promise/always-return": "off",
    "promise/no-multiple-resolved": "off",
    "unicorn/require-module-specifiers": "off",
    "typescript/no-unnecessary-type-parameters": "off",
    "unicorn/prefer-add-event-listener": "off",
  },
  overrides: [
    border("proto", { packages: false, node: false }),
    border("proto", { node: false, files: ["proto/rpc.ts"] }),
    border("stub", {
      may: [
        "../proto/frames.ts",
        "../proto/link.ts",
        "../proto/version.ts",
        "../proto/answer.ts",
        "../proto/knock.ts",
      ],
    }),
    border("client", { may: ["../proto/**"], extra: [rpcTypesOnly] }),
    ...["cli", "tui", "console", "editor"].map((part) =>
      border(`client/${part}`, { may: [PROTO, "../*.ts"], extra: [rpcTypesOnly] }),
    ),
    {
      // There are some forty actions of keys, and each view knows a few of them: the default is the others.
      files: ["client/tui/**"],
      rules: {
        "typescript/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      },
    },
    border("client/sdk", { may: ["../../proto/app.ts"], packages: false }),
    border("daemon", { may: ["../proto/**"], files: ["daemon/*.ts"] }),
    border("daemon/lib", { may: [PROTO] }),
    ...["runtime", "aws"].map((part) => border(`daemon/${part}`, { may: ["../lib/**", PROTO] })),
    border("daemon/runtime/runner", { packages: false }),
    ...FEATURES.map((part) =>
      border(`daemon/${part}`, {
        may: ["../lib/**", PROTO, ...(COMMON_GROUND[part] ?? []).map((ground) => `../${ground}/**`)],
      }),
    ),
    border("daemon/tunnel/preload", { packages: false }),
    {
      files: ["test/**"],
      rules: {
        // tap waits for its subtests by itself.
        "typescript/no-floating-promises": [
          "error",
          {
            allowForKnownSafePromises: [
              { from: "package", package: "@tapjs/core", name: "PromiseWithSubtest" },
            ],
          },
        ],
      },
    },
  ],
  ignorePatterns: ["dist/**", ".demo/**", "examples/**/.livedev/**"],
};
