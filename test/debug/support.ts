/** A project to debug, and who tells which of its lines something stands in. */
import { Rig } from "../support/rig.ts";

export const config = (functions: readonly string[], timeout = "60 seconds") => `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "debugged", home: "local" }),
  async run() {
${functions
  .map(
    (name) => `    new aws.Function("${name}", { handler: "src/${name}.handler", timeout: "${timeout}" });`,
  )
  .join("\n")}
  },
});
`;

/** `above`: lines that shift the rest. */
export const handler = (name: string, above = 0) => `${"// above\n".repeat(above)}
const loaded = "${name}"; // INIT
export async function handler(event: { fail?: boolean }) {
  const word = loaded + " ${above}"; // HERE
  if (event.fail) throw new Error("as asked"); // FAIL
  return word;
}
`;

/** The line that says so, from 1. */
export function lineOf(text: string, mark: string): number {
  return text.split("\n").findIndex((line) => line.includes(`// ${mark}`)) + 1;
}

/** A daemon that is live, with debugging on; gives the port. */
export async function debugged(rig: Rig): Promise<number> {
  await rig.start();
  const on = await rig.livedev("debug", "on", "--port", "0", "--json");
  return (JSON.parse(on.stdout) as { port: number }).port;
}

export function invoke(rig: Rig, name: string, event: object = {}) {
  return rig.livedev("invoke", name, "--event", JSON.stringify(event));
}
