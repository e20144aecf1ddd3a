/**
 * F39: what is secret in a function's environment, its events, its answers and its lines stands in clear in no file
 * that livedev keeps, in nothing that it shows or exports, and on no process's command line.
 */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";

import t from "tap";

import { Rig } from "../support/rig.ts";

const PLANTED = {
  variable: "plantedVariable-5591",
  bearer: "plantedBearer5591abcdefgh",
  password: "plantedPassword-5591",
  answer: "plantedAnswer-5591",
  line: "plantedLine-5591",
  session: "plantedSession5591",
} as const;

const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "secrets", home: "local" }),
  async run() {
    new aws.Function("Keeps", {
      handler: "src/keeps.handler",
      url: true,
      environment: { API_TOKEN: process.env.API_TOKEN ?? "" },
    });
  },
});
`,
  ".env": `API_TOKEN=${PLANTED.variable}\n`,
  // What it answers and prints is made while it runs: the code itself holds nothing.
  "src/keeps.ts": `
export async function handler(event: { body?: string; cookies?: string[] }) {
  const make = (name: string) => "planted" + name + "-" + 5591;
  console.log("password=" + make("Line"));
  if (process.env.API_TOKEN?.endsWith("Variable-5591") !== true) throw new Error("no token");
  if (event.body === "fail") throw new Error("it failed with token=" + make("Line"));
  return { statusCode: 200, headers: { "set-cookie": event.cookies?.[0] ?? "" }, body: JSON.stringify({ password: make("Answer") }) };
}
`,
};

/** The stage's name, and what keeps the folder out of git. */
const OPEN = new Set(["stage", ".gitignore"]);

t.test("F39: planted secrets are found in clear in no file, no output and no command line", async (t) => {
  await using rig = Rig.open({ files: FILES });
  const { Keeps: url = "" } = await rig.start();
  const headers = { authorization: `Bearer ${PLANTED.bearer}`, cookie: `session=${PLANTED.session}` };
  const body = JSON.stringify({ user: "heidi", password: PLANTED.password });
  const answer = await fetch(url, { method: "POST", headers, body });
  t.match(await answer.text(), PLANTED.answer, "the caller gets what is the caller's");
  t.equal((await fetch(url, { method: "POST", headers, body: "fail" })).status, 502);

  await using client = await rig.connect();
  const rows = await client.call("invocation.list", { limit: 10 });
  const [failed = "", first = ""] = rows.map(({ id }) => String(id));
  const outputs: Record<string, string> = {};
  for (const args of [
    ["history", first],
    ["history", failed],
    ["history", first, "--json"],
    ["history", "--json"],
    ["logs"],
    ["logs", "--json"],
    ["logs", "--daemon"],
    ["status", "--json"],
    ["doctor", "--json", "--bundle", join(rig.root, "bundle.gz")],
    ["plan", "--json"],
    ["replay", first],
    ["replay", first, "--diff"],
    ["replay", first, "--json"],
    ["replay", first, "--diff", "--json"],
    ["history", "--text", "heidi", "--json"],
  ]) {
    const { stdout, stderr } = await rig.livedev(...args);
    outputs[args.join(" ")] = stdout + stderr;
  }
  t.match(outputs[`history ${first}`], /heidi/, "what is not secret is shown");
  outputs["support bundle"] = gunzipSync(readFileSync(join(rig.root, "bundle.gz"))).toString();
  for (const { pid } of await rig.processes()) {
    outputs[`command line of ${pid}`] = readFileSync(`/proc/${pid}/cmdline`, "utf8");
  }

  const state = join(rig.project, ".livedev");
  const files = readdirSync(state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  t.ok(files.length > 5);
  for (const file of files) {
    outputs[file] = readFileSync(file, "latin1");
    if (!OPEN.has(basename(file))) t.equal(lstatSync(file).mode & 0o077, 0, `${file} is ours alone`);
  }
  for (const [place, text] of Object.entries(outputs)) {
    const found = Object.entries(PLANTED).filter(([, value]) => text.includes(value));
    t.same(found, [], place.replace(rig.root, ""));
  }
  const revealed = await rig.livedev("history", first, "--reveal");
  t.match(revealed.stdout, PLANTED.password, "sealed, not lost");
  t.match((await rig.livedev("replay", first, "--reveal")).stdout, PLANTED.answer);
  t.comment(`${Object.keys(PLANTED).length} values looked for in ${Object.keys(outputs).length} places`);
});
