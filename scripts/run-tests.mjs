/**
 * Runs built test files under tap, so many at once, TAP to stdout: `run-tests.mjs {"files":[…],"later":[…],"jobs":4,
 * "env":{…}}`. Those of `later` begin when stdin has ended. `env` is for the files alone: tap's filters in it would
 * choose among the files here. tap's own command loads its coverage recorder into each file, with a hook on every
 * module: it took more time than most files do.
 */
import { finished } from "node:stream/promises";

import { t } from "tap";

const { files, later, jobs, env } = JSON.parse(process.argv[2]);

t.jobs = jobs;
t.setTimeout(0);
// Each Node process reads them at its start, for as long as the start itself takes: they are for npm alone.
const { NODE_EXTRA_CA_CERTS: LIVEDEV_NPM_CA_CERTS = "", ...inherited } = process.env;
const node = [process.execPath, "--no-warnings", "--enable-source-maps"];
const start = ({ file, name }) =>
  void t.spawn("env", ["-u", "NODE_OPTIONS", ...node, file], {
    name,
    buffered: true,
    timeout: Number(env.TAP_TIMEOUT) * 1000,
    env: { ...inherited, LIVEDEV_NPM_CA_CERTS, ...env },
  });

files.forEach(start);
await finished(process.stdin.resume());
later.forEach(start);
